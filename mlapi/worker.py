"""The thread that calls the engine: one call at a time, its start time always known."""

from __future__ import annotations

import asyncio
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

from mlapi.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlapi.types import Encoding, Probabilities

    Classify = Callable[[Sequence[Encoding]], list[Probabilities]]
    Reply = asyncio.Future[list[Probabilities]]


class EngineWorker:
    """Runs `classify` in a thread of its own.

    A daemon thread, unlike an executor's: a call that never returns must not keep the process from exiting.
    """

    def __init__(self, classify: Classify) -> None:
        """Keep the function; `start` makes the thread."""
        self._classify = classify
        self._inbox: SimpleQueue[tuple[Sequence[Encoding], Reply] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="mlapi-engine", daemon=True)
        self._busy_since: float | None = None

    def start(self) -> None:
        """Start the thread. Call from the event loop that will await the replies."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def call(self, encodings: Sequence[Encoding]) -> Reply:
        """Hand one batch over; the future gets its probabilities or the exception."""
        reply: Reply = self._loop.create_future()
        if not self._thread.is_alive():
            reply.set_exception(EngineError("the engine thread is gone; the process must be restarted"))
            return reply
        self._inbox.put((encodings, reply))
        return reply

    def healthy(self, *, stuck_after: float) -> bool:
        """Tell whether the thread lives and its current call, if any, is younger than `stuck_after` s."""
        since = self._busy_since
        return self._thread.is_alive() and (since is None or time.monotonic() - since < stuck_after)

    def stop(self, *, timeout: float) -> bool:
        """Let the thread end after what was handed over; tell whether it did within `timeout` s."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (task := self._inbox.get()) is not None:
            encodings, reply = task
            self._busy_since = time.monotonic()
            try:
                result: list[Probabilities] | BaseException = self._classify(encodings)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the batch must be answered
                result = error
            self._busy_since = None
            try:
                self._loop.call_soon_threadsafe(_settle, reply, result)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits
                return
            if isinstance(result, BaseException) and not isinstance(result, Exception):
                return


def _settle(reply: Reply, result: list[Probabilities] | BaseException) -> None:
    if reply.done():
        return
    if isinstance(result, Exception):
        reply.set_exception(result)
    elif isinstance(result, BaseException):
        reply.set_exception(EngineError(f"the engine thread ended with {type(result).__name__}"))
    else:
        reply.set_result(result)
