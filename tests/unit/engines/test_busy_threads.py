"""Who works is told by the kernel alone: the threads here are as a runtime's, which Python does not know."""

from __future__ import annotations

import _thread
import hashlib
import threading
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from mlapi.engines import busy_threads as module
from mlapi.engines.busy_threads import busy_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads /proc")

ROUNDS = 50_000
"""Of a key's derivation, without Python's lock: some 20 ms."""


class Runtime:
    """Threads of which each computes what it is given, and lives on.

    Attributes:
        ids: Theirs, by the kernel.
    """

    def __init__(self, threads: int) -> None:
        self._inboxes = [SimpleQueue[int]() for _ in range(threads)]
        self._done: SimpleQueue[int] = SimpleQueue()
        for inbox in self._inboxes:
            _thread.start_new_thread(self._serve, (inbox,))
        self.ids = []
        for inbox in self._inboxes:
            inbox.put(1)
            self.ids.append(self._done.get())

    def work(self, *rounds: int) -> None:
        given = [(inbox, number) for inbox, number in zip(self._inboxes, rounds, strict=True) if number]
        for inbox, number in given:
            inbox.put(number)
        for _ in given:
            self._done.get()

    def close(self) -> None:
        for inbox in self._inboxes:
            inbox.put(0)

    def _serve(self, inbox: SimpleQueue[int]) -> None:
        while rounds := inbox.get():
            _compute(rounds)
            self._done.put(threading.get_native_id())


@contextmanager
def _runtime(threads: int) -> Iterator[Runtime]:
    runtime = Runtime(threads)
    try:
        yield runtime
    finally:
        runtime.close()


def test_those_that_work_are_found_among_those_that_do_not() -> None:
    """If it fails, threads are bound to CPUs that have nothing to compute."""
    with _runtime(3) as runtime:
        found = busy_threads(lambda: runtime.work(ROUNDS, 0, ROUNDS), count=2)
        assert found == {runtime.ids[0], runtime.ids[2]}


@pytest.mark.parametrize(
    "rounds",
    [
        (0, 0, 0),
        (ROUNDS, 0, 0),
        (ROUNDS, ROUNDS, ROUNDS),
        (10 * ROUNDS, ROUNDS, 0),
        (ROUNDS // 100, ROUNDS // 100, 0),
    ],
    ids=["none", "one", "three", "one and a little", "hardly"],
)
def test_it_is_left_open_where_it_is_not_clear(rounds: tuple[int, ...]) -> None:
    """If it fails, one of them is bound, and works where it must not, or waits for the others."""
    with _runtime(3) as runtime:
        assert busy_threads(lambda: runtime.work(*rounds), count=2) == frozenset()


def test_what_python_does_meanwhile_does_not_count() -> None:
    """If it fails, a probe that is answered during the start costs a pod a tenth of what it could do."""
    with _runtime(2) as runtime:

        def work() -> None:
            runtime.work(ROUNDS, ROUNDS)
            _compute(4 * ROUNDS)

        assert busy_threads(work, count=2) == set(runtime.ids)


def test_none_is_found_where_the_kernel_does_not_tell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If it fails, the service does not start on macOS, or in a sandbox."""
    (tmp_path / "17").mkdir()
    with _runtime(1) as runtime:
        for tasks in (tmp_path, tmp_path / "absent"):
            monkeypatch.setattr(module, "TASKS", tasks)
            assert busy_threads(lambda: runtime.work(ROUNDS), count=1) == frozenset()


def _compute(rounds: int) -> None:
    hashlib.pbkdf2_hmac("sha256", b"key", b"salt", rounds)
