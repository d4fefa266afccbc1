"""Speed, interleaved: at each shape every contender has its turn in every round, one after another.

What slows the machine for a while slows all of them. A turn's value is the median of its calls; a contender's
is the median of its turns.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.engines.contenders import CONTENDERS
from bench.engines.process import ContenderProcess
from bench.engines.verdicts import REFERENCE
from bench.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GAP_S = 0.1
"""Between turns, so that the threads of the one before have stopped spinning."""

MEMORY_SHAPE = Shape(32, 128)
MEMORY_CALLS = 5


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured of one contender.

    Attributes:
        difference: Largest difference of a logit from transformers in float32, on a padded batch.
        seconds: By shape, the median call of each turn.
    """

    difference: float
    seconds: dict[str, list[float]]

    def medians_ms(self) -> dict[str, float]:
        """Return the median of the turns by shape, in milliseconds."""
        return {shape: statistics.median(turns) * 1000 for shape, turns in self.seconds.items()}


def measure_speed(
    directory: Path, *, vocabulary: int, threads: int, shapes: Sequence[Shape], rounds: int
) -> dict[str, Speed]:
    """Measure all contenders.

    Args:
        directory: The model directory with all graphs.
        vocabulary: Ids of the model.
        threads: Threads of one inference call.
        shapes: What to run.
        rounds: Turns of each contender at each shape.
    """
    with ExitStack() as stack:
        processes = {
            contender.name: stack.enter_context(
                ContenderProcess(contender, directory, vocabulary=vocabulary, threads=threads)
            )
            for contender in CONTENDERS
        }
        logits = {name: process.logits() for name, process in processes.items()}
        speeds = {
            name: Speed(float(np.abs(logits[name] - logits[REFERENCE]).max()), {}) for name in processes
        }
        for shape in shapes:
            _say(f"{shape}, {rounds} rounds")
            for process in processes.values():
                process.seconds(shape, 1)  # the first call of a shape prepares for it
            for speed in speeds.values():
                speed.seconds[str(shape)] = []
            for _ in range(rounds):
                for name, process in processes.items():
                    time.sleep(GAP_S)
                    turn = process.seconds(shape, shape.repeats)
                    speeds[name].seconds[str(shape)].append(statistics.median(turn))
        return speeds


def measure_memory(directory: Path, *, vocabulary: int, threads: int) -> dict[str, tuple[float, float]]:
    """Return by contender its resident memory after batches of 32x128 and at its peak, in 10^6 bytes.

    Each has a fresh process, which holds Python, numpy and the engine, not a service.
    """
    memory = {}
    for contender in CONTENDERS:
        _say(f"memory of {contender.name}")
        with ContenderProcess(contender, directory, vocabulary=vocabulary, threads=threads) as process:
            process.seconds(MEMORY_SHAPE, MEMORY_CALLS)
            memory[contender.name] = process.memory_mb()
    return memory


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
