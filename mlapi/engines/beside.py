"""Runs one function for several tasks at a time, while a model loads.

The threads are daemon threads, unlike an executor's: a process that is told to end must not wait for them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_beside(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Run a function for each task, all at the same time, and return the results in order.

    Raises:
        BaseException: What the first task that failed raised.
    """
    outcomes: list[Result | BaseException] = [RuntimeError("did not run") for _ in tasks]

    def run(number: int) -> None:
        try:
            outcomes[number] = function(tasks[number])
        except BaseException as error:  # noqa: BLE001 - raised where the results are wanted
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results: list[Result] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
