"""On which CPUs calls and the event loop run: decided by our code, carried out by the kernel."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from mlapi import placement
from mlapi.placement import Linux, Placement, place_calls
from mlapi.slots import Slots
from mlapi.worker import Worker
from tests.support.fakes import RecordingJob

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlapi.types import Encoding, Probabilities

FIRST, SECOND, THIRD = -1, -2, -3
"""Threads of calls."""

BOTH = frozenset({4, 6})
linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no threads")


class FakeKernel:
    """Notes where threads are bound, and tells where they ran. The container's CPUs can change."""

    def __init__(self, cpus: Collection[int] = BOTH) -> None:
        self.cpus = set(cpus)
        self.bound: dict[int, set[int]] = {}
        self.last: dict[int, int] = {}
        self.calls = 0
        self.forbidden = False

    def bind(self, thread: int, cpus: Collection[int]) -> None:
        self.calls += 1
        if self.forbidden:
            raise PermissionError(1, "Operation not permitted")
        if not self.cpus.intersection(cpus):
            raise OSError(22, "Invalid argument")
        self.bound[thread] = set(cpus)

    def ran_on(self, thread: int) -> int:
        if thread not in self.last:
            raise FileNotFoundError
        return self.last[thread]

    def allowed(self, *, ignoring: Collection[int]) -> set[int]:
        assert set(ignoring) >= set(self.bound)
        return self.cpus

    def at(self, thread: int) -> set[int]:
        return self.cpus.intersection(self.bound.get(thread, self.cpus)) or self.cpus

    @property
    def event_loop(self) -> set[int]:
        return self.at(threading.get_native_id())

    def placement(self) -> Placement:
        return Placement(self.cpus, self)


def _two_calls() -> tuple[FakeKernel, Placement]:
    """Begin two calls, of which the first ran on CPU 4."""
    kernel = FakeKernel()
    placed = kernel.placement()
    kernel.last = {FIRST: 4}
    placed.begin(FIRST)
    placed.begin(SECOND)
    return kernel, placed


def test_a_call_that_runs_alone_is_left_to_the_kernel() -> None:
    """Two services on the same CPUs would else sit on the same one while the other idles."""
    kernel = FakeKernel()
    placed = kernel.placement()
    for _ in range(2):
        placed.begin(FIRST)
        assert kernel.at(FIRST) == kernel.event_loop == set(BOTH)
        placed.end(FIRST)
    assert kernel.calls == 0, "a system call for each call, for nothing"


def test_two_calls_get_a_cpu_each_and_the_first_stays_where_it_is() -> None:
    """On one CPU they would take turns while the other idles; moving the first costs it its caches."""
    kernel = FakeKernel()
    placed = kernel.placement()
    kernel.last = {FIRST: 6}
    placed.begin(FIRST)
    placed.begin(SECOND)
    assert (kernel.at(FIRST), kernel.at(SECOND), kernel.event_loop) == ({6}, {4}, set(BOTH))


def test_the_event_loop_gets_the_cpu_that_a_call_left() -> None:
    """Where it ran, the other call would wait for it, or it for the call, with a CPU idle."""
    kernel, placed = _two_calls()
    placed.end(FIRST)
    assert (kernel.at(SECOND), kernel.event_loop) == ({6}, {4})
    placed.begin(FIRST)
    assert (kernel.at(FIRST), kernel.at(SECOND), kernel.event_loop) == ({4}, {6}, set(BOTH))


def test_nothing_stays_bound_once_no_call_runs() -> None:
    """Bound to one CPU, the event loop would wait for whatever else comes to run there."""
    kernel, placed = _two_calls()
    placed.end(FIRST)
    placed.end(SECOND)
    assert kernel.event_loop == BOTH
    placed.begin(SECOND)
    assert kernel.at(SECOND) == kernel.event_loop == BOTH


def test_calls_in_full_swing_cost_a_bind_at_their_start_and_one_at_their_end() -> None:
    """Only the event loop moves; each bind is a system call on it."""
    kernel, placed = _two_calls()
    before = kernel.calls
    for thread in (FIRST, SECOND) * 5:
        placed.end(thread)
        placed.begin(thread)
    assert kernel.calls - before == 20


def test_three_of_three_get_one_each_wherever_they_ran() -> None:
    """The kernel may have had two on one CPU when the third came."""
    kernel = FakeKernel(cpus=(0, 1, 2))
    placed = kernel.placement()
    kernel.last = {FIRST: 1, SECOND: 1, THIRD: 1}
    placed.begin(FIRST)
    placed.begin(SECOND)
    assert kernel.event_loop == {0, 1, 2} - kernel.at(FIRST) - kernel.at(SECOND)
    placed.begin(THIRD)
    got = [kernel.at(thread) for thread in (FIRST, SECOND, THIRD)]
    assert set().union(*got) == {0, 1, 2}
    assert [len(cpus) for cpus in got] == [1, 1, 1]
    placed.end(SECOND)
    assert kernel.event_loop == kernel.at(SECOND)


def test_a_cpu_that_is_unknown_or_no_longer_ours_is_not_taken() -> None:
    """A thread's last CPU cannot be read on every kernel, and a container's CPUs can change while it runs."""
    kernel = FakeKernel()
    placed = kernel.placement()
    kernel.last = {FIRST: 9}
    placed.begin(FIRST)
    placed.begin(SECOND)
    assert kernel.at(FIRST) | kernel.at(SECOND) == BOTH
    assert kernel.at(FIRST) != kernel.at(SECOND)


def test_a_call_that_begins_beside_another_does_not_drive_it_from_its_cpu() -> None:
    """After a lull it comes with a place of its own; to move the other costs that one its caches."""
    kernel, placed = _two_calls()
    placed.end(FIRST)
    placed.end(SECOND)
    assert kernel.at(SECOND) == {6}
    kernel.last = {FIRST: 6}
    placed.begin(FIRST)
    placed.begin(SECOND)
    assert (kernel.at(FIRST), kernel.at(SECOND)) == ({6}, {4})


def test_where_threads_may_not_be_bound_the_service_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A sandbox may forbid the system call; that must not fail a request, or be tried again for each."""
    caplog.set_level("INFO", logger=placement.logger.name)
    kernel = FakeKernel()
    kernel.forbidden = True
    placed = kernel.placement()
    placed.begin(FIRST)
    placed.begin(SECOND)
    tried = kernel.calls
    assert tried
    placed.end(FIRST)
    placed.begin(FIRST)
    placed.end(FIRST)
    placed.end(SECOND)
    assert kernel.calls == tried
    assert [record.getMessage() for record in caplog.records] == [
        "threads cannot be bound to CPUs (Operation not permitted), and are left to the kernel"
    ]


def test_when_the_containers_cpus_change_every_thread_gets_the_new_ones() -> None:
    """On what is left of the old ones, calls and event loop would share a CPU for good."""
    kernel, placed = _two_calls()
    kernel.cpus = {6, 8}
    placed.end(SECOND)
    placed.begin(SECOND)
    placed.end(FIRST)  # the event loop would get 4
    assert kernel.at(FIRST) == kernel.at(SECOND) == kernel.event_loop == {6, 8}


@linux
@pytest.mark.parametrize(
    ("calls", "threads", "workers", "cpus", "placed"),
    [
        (2, 2, 1, 2, True),
        (1, 1, 1, 1, False),  # nothing runs beside it
        (2, 2, 2, 2, False),  # both processes would take the same CPUs
        (4, 4, 1, 4, True),
        (4, 8, 1, 8, False),  # a call has several threads, of which we know one
        (5, 5, 1, 5, False),  # a graph for each call would take too much memory
        (2, 2, 1, 16, False),  # the kernel has CPUs to spare
    ],
)
def test_placed_is_what_has_as_many_cpus_as_calls(
    monkeypatch: pytest.MonkeyPatch, *, calls: int, threads: int, workers: int, cpus: int, placed: bool
) -> None:
    """Elsewhere the kernel does as well, or others need the CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    assert (place_calls(calls=calls, threads=threads, workers=workers) is not None) == placed


def test_without_the_system_call_nothing_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none on macOS."""
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert place_calls(calls=2, threads=2, workers=1) is None


@linux
async def test_slots_place_the_threads_that_do_the_work() -> None:
    """Seen by the calls themselves, from the kernel: one that only hands on would be placed for nothing."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    seen: dict[int, set[int]] = {}
    both, last = threading.Barrier(2, timeout=10), threading.Event()

    def beside(batch: list[Encoding]) -> list[Probabilities]:
        both.wait()
        seen[threading.get_native_id()] = os.sched_getaffinity(0)
        both.wait()
        if batch[0].length == 2:
            last.wait(10)
        return [() for _ in batch]

    before = os.sched_getaffinity(0)
    slots = Slots(beside, beside, count=2, placement=Placement(cpus, Linux()))
    slots.start()
    try:
        runs = [
            asyncio.create_task(slots.run(slot, [RecordingJob(length)], waiting=1))
            for slot, length in zip(slots, (1, 2), strict=True)
        ]
        await runs[0]
        assert sorted(tuple(where) for where in seen.values()) == [(cpu,) for cpu in cpus]
        assert os.sched_getaffinity(0) == seen[next(iter(slots)).worker.native_id], "where no call runs"
        last.set()
        await runs[1]
        assert os.sched_getaffinity(0) == set(cpus)
    finally:
        last.set()
        await slots.stop(timeout=5)
        os.sched_setaffinity(0, before)


@linux
def test_the_kernel_is_asked_where_a_thread_ran() -> None:
    """A field further, it would be some other small number; a thread's name may look like fields, too."""
    cpu = min(os.sched_getaffinity(0))
    script = (
        "import os, sys, threading; from pathlib import Path; from mlapi.placement import Linux\n"
        "Path('/proc/self/comm').write_text('a) S 1 (2')\n"
        "os.sched_setaffinity(0, {int(sys.argv[1])}); print(Linux().ran_on(threading.get_native_id()))"
    )
    for last in {cpu, max(os.sched_getaffinity(0))}:
        done = subprocess.run(
            [sys.executable, "-c", script, str(last)], capture_output=True, text=True, check=True, timeout=60
        )
        assert int(done.stdout) == last


@linux
def test_the_cpus_of_other_threads_are_those_of_the_process() -> None:
    """Of a bound thread's they would be but one."""
    own, before = threading.get_native_id(), os.sched_getaffinity(0)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        os.sched_setaffinity(0, {min(before)})
        assert Linux().allowed(ignoring=[own]) == before
    finally:
        os.sched_setaffinity(0, before)
        done.set()
        other.join()


def test_a_worker_that_was_not_started_has_no_thread() -> None:
    """The kernel takes 0 for the thread that asks: the event loop's would be bound in its place."""
    worker: Worker[int, int] = Worker(abs, name="idle")
    with pytest.raises(RuntimeError, match="idle was not started"):
        _ = worker.native_id
