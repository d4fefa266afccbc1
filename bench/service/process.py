"""Work in a process of its own, done when it is asked for: it waits while others have their turn."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

Order = TypeVar("Order")
Answer = TypeVar("Answer")


class HelperError(Exception):
    """A helper's process ended before it was told to; what it said stands above."""


class Helper(Generic[Order, Answer]):
    """A spawned process, from the beginning of a block to its end."""

    def __init__(self, make: Callable[..., Callable[[Order], Answer]], *arguments: object) -> None:
        """Keep what to do; the block starts it.

        Args:
            make: Called in the process with the arguments: prepares, and returns what answers an order.
            arguments: Of `make`.
        """
        self._make = make
        self._arguments = arguments

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_answer, args=(theirs, self._make, self._arguments))
        self._process.start()
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()  # the other side reads the end of its orders and leaves
        self._process.join()

    def ask(self, order: Order) -> Answer:
        """Have one order done and wait for the answer.

        Raises:
            HelperError: The process ended.
        """
        try:
            self._connection.send(order)
            answer: Answer = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise HelperError(
                f"the process of {self._make.__name__} ended with status {self._process.exitcode}, see above"
            ) from None
        return answer


def _answer(
    connection: Connection[Any, Any], make: Callable[..., Callable[[Any], Any]], arguments: tuple[Any, ...]
) -> None:
    answer = make(*arguments)
    while True:
        try:
            order = connection.recv()
        except EOFError:
            return
        connection.send(answer(order))
