"""A contender in a process of its own, so that neither thread pools nor memory mix."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bench.engines.contenders import load
from bench.host import memory_mb
from bench.shapes import padded_batch

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from numpy.typing import NDArray

    from bench.engines.contenders import Contender
    from bench.shapes import Shape


class ContenderProcess:
    """Loads the contender; then runs what it is told to, when it is told to."""

    def __init__(self, contender: Contender, directory: Path, *, vocabulary: int, threads: int) -> None:
        """Start the process and do not wait for it.

        Args:
            contender: What to load.
            directory: The model directory.
            vocabulary: Ids of the model.
            threads: Threads of one inference call.
        """
        self._name = contender.name
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, contender, directory, vocabulary, threads)
        self._process = context.Process(target=_serve, args=arguments, name=contender.name)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()  # the other side reads the end of its orders and leaves
        self._process.join()

    def logits(self) -> NDArray[np.float32]:
        """Wait until it is loaded and return its logits for the padded batch."""
        logits: NDArray[np.float32] = self._ask(None)
        return logits

    def seconds(self, shape: Shape, calls: int) -> list[float]:
        """Run a shape so many times, one after another, and return the seconds of each."""
        seconds: list[float] = self._ask((shape, calls))
        return seconds

    def memory_mb(self) -> tuple[float, float]:
        """Return its resident memory, now and at its peak, in 10^6 bytes."""
        return memory_mb(self._process.pid or 0)

    def _ask(self, order: object) -> Any:
        try:
            self._connection.send(order)
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            sys.exit(f"the process of {self._name} ended with status {self._process.exitcode}, see above")


def _serve(
    connection: Connection[Any, Any], contender: Contender, directory: Path, vocabulary: int, threads: int
) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # this is about the CPU
    engine = load(contender, directory, threads=threads)
    while True:
        try:
            order: tuple[Shape, int] | None = connection.recv()
        except EOFError:
            return
        if order is None:
            connection.send(engine.infer(padded_batch(vocabulary)))
            continue
        shape, calls = order
        batch = shape.batch(vocabulary)
        seconds = []
        for _ in range(calls):
            started = time.perf_counter()
            engine.infer(batch)
            seconds.append(time.perf_counter() - started)
        connection.send(seconds)
