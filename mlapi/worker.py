"""Threads that do one kind of work, one call at a time, the start time always known.

Each of the engine's slots and each tokeniser has one. They are daemon threads, unlike an
executor's: a call that never returns must not keep the process from exiting.
"""

from __future__ import annotations

import asyncio
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from mlapi.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

Task = TypeVar("Task")
Result = TypeVar("Result")


class Worker(Generic[Task, Result]):
    """Runs a function in a thread of its own."""

    def __init__(self, function: Callable[[Task], Result], *, name: str) -> None:
        """Keep the function; `start` makes the thread.

        Args:
            function: What to run.
            name: Of the thread, for debuggers and messages.
        """
        self._function = function
        self._name = name
        self._inbox: SimpleQueue[tuple[Task, asyncio.Future[Result]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._busy_since: float | None = None
        self._gone = False

    def start(self) -> None:
        """Start the thread. Call from the event loop that will await the replies."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def native_id(self) -> int:
        """The kernel's id of the thread, which must have been started."""
        if self._thread.native_id is None:
            raise RuntimeError(f"the thread {self._name} was not started")
        return self._thread.native_id

    def call(self, task: Task) -> asyncio.Future[Result]:
        """Hand one task over; the future gets its result or the exception."""
        reply: asyncio.Future[Result] = self._loop.create_future()
        if self._gone:
            reply.set_exception(EngineError(f"the thread {self._name} is gone; restart the process"))
        else:
            self._inbox.put((task, reply))
        return reply

    def healthy(self, *, stuck_after: float) -> bool:
        """Tell whether the thread lives and its current call, if any, is younger than `stuck_after` s."""
        since = self._busy_since
        alive = self._thread.is_alive() and not self._gone
        return alive and (since is None or time.monotonic() - since < stuck_after)

    def stop(self, *, timeout: float) -> bool:
        """Let the thread end after what was handed over; tell whether it did within `timeout` s."""
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (handed := self._inbox.get()) is not None:
            task, reply = handed
            if reply.cancelled():
                continue
            self._busy_since = time.monotonic()
            try:
                result: Result | BaseException = self._function(task)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the task must be answered
                result = error
            self._busy_since = None
            self._gone = isinstance(result, SystemExit)
            try:
                self._loop.call_soon_threadsafe(self._settle, reply, result)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits
                return
            if self._gone:
                return

    def _settle(self, reply: asyncio.Future[Result], result: Result | BaseException) -> None:
        if reply.done():
            return
        if isinstance(result, Exception):
            reply.set_exception(result)
        elif isinstance(result, BaseException):  # a panic of a native library, or the end of the thread
            reply.set_exception(EngineError(f"{self._name} ended a call with {type(result).__name__}"))
        else:
            reply.set_result(result)
