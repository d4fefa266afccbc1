"""On which CPUs calls and the event loop run: decided by our code, carried out by the kernel."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mlapi import placement
from mlapi.placement import Linux, Placement, place_calls
from mlapi.slots import Slots
from mlapi.worker import Worker
from tests.support.fakes import RecordingJob
from tests.support.http_server import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlapi.types import Encoding, Probabilities

FIRST, SECOND, THIRD = -1, -2, -3
"""Threads that make calls."""

ONE, TWO, THREE = -11, -12, -13
"""Threads that compute them."""

BOTH = frozenset({4, 6})
linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no threads")


class FakeKernel:
    """Notes where threads are bound, tells which run and where they ran. The container's CPUs can change."""

    def __init__(self, cpus: Collection[int] = BOTH) -> None:
        self.cpus = set(cpus)
        self.masks: dict[int, set[int]] = {}
        self.last: dict[int, int] = {}
        self.running: set[int] = set()
        self.binds = self.looks = 0
        self.forbidden = False

    def bind(self, thread: int, cpus: Collection[int]) -> None:
        self.binds += 1
        if self.forbidden:
            raise PermissionError(1, "Operation not permitted")
        if not self.cpus.intersection(cpus):
            raise OSError(22, "Invalid argument")
        self.masks[thread] = set(cpus)

    def bound(self, thread: int) -> set[int]:
        return self.cpus.intersection(self.masks.get(thread, self.cpus)) or self.cpus

    def look(self, thread: int) -> tuple[bool, int]:
        self.looks += 1
        if thread not in self.last:
            raise FileNotFoundError
        return thread in self.running, self.last[thread]

    def allowed(self, *, ignoring: Collection[int]) -> set[int]:
        assert set(ignoring) >= set(self.masks)
        return self.cpus

    @property
    def event_loop(self) -> set[int]:
        return self.bound(threading.get_native_id())


class Calls:
    """Calls as OpenVINO makes them: one of its threads computes it, whichever is said, on all CPUs at first.

    Attributes:
        woke: The CPUs on which each of its threads could wake up for its last call.
    """

    def __init__(self, kernel: FakeKernel, computing: Collection[int] = (ONE, TWO)) -> None:
        self.kernel = kernel
        self.placed = Placement(kernel.cpus, computing, kernel)
        kernel.last = dict.fromkeys(computing, min(kernel.cpus)) | kernel.last
        self.woke: dict[int, set[int]] = {}
        self._by: dict[int, int] = {}
        self._saved: dict[int, set[int]] = {}

    def begin(self, caller: int, *, by: int, seen: bool = True) -> None:
        """Begin a call; one that is not seen is handed over, and nobody has woken up for it yet."""
        self.placed.begin(caller)
        self._by[caller] = by
        if seen:
            self.wake(by)

    def wake(self, thread: int) -> None:
        kernel = self.kernel
        kernel.running.add(thread)
        self.woke[thread] = self._saved[thread] = kernel.bound(thread)
        if kernel.last[thread] not in self.woke[thread]:
            kernel.last[thread] = min(self.woke[thread])
        kernel.masks[thread] = set(kernel.cpus)

    def end(self, caller: int) -> None:
        by = self._by.pop(caller)
        if by not in self._by.values():
            self.kernel.running.discard(by)
            self.kernel.masks[by] = self._saved[by]
        self.placed.end(caller)


def _two_calls() -> tuple[FakeKernel, Calls]:
    """Begin two calls, of which the first runs on CPU 4."""
    kernel = FakeKernel()
    calls = Calls(kernel)
    calls.begin(FIRST, by=ONE)
    calls.begin(SECOND, by=TWO)
    return kernel, calls


def test_a_call_that_runs_alone_is_left_to_the_kernel() -> None:
    """Two services on the same CPUs would else sit on the same one while the other idles."""
    kernel = FakeKernel()
    calls = Calls(kernel)
    for _ in range(2):
        calls.begin(FIRST, by=ONE)
        assert kernel.bound(FIRST) == calls.woke[ONE] == kernel.bound(TWO) == kernel.event_loop == set(BOTH)
        calls.end(FIRST)
    assert kernel.binds == kernel.looks == 0, "system calls for each call, for nothing"


@pytest.mark.parametrize("first", [ONE, TWO])
def test_two_calls_get_a_cpu_each_and_the_first_stays_where_it_is(first: int) -> None:
    """On one CPU they would take turns while the other idles; moving the first costs it its caches."""
    kernel = FakeKernel()
    kernel.last = {ONE: 6, TWO: 6}
    calls = Calls(kernel)
    second = ONE + TWO - first
    calls.begin(FIRST, by=first)
    calls.begin(SECOND, by=second)
    assert (kernel.bound(first), calls.woke[second], kernel.event_loop) == ({6}, {4}, set(BOTH))


def test_a_thread_is_bound_again_after_it_was_let_go() -> None:
    """OpenVINO lets go of it as a call begins, and puts back at its end what was before, be it nothing."""
    kernel, calls = _two_calls()
    calls.end(FIRST)
    assert (kernel.bound(ONE), kernel.bound(TWO)) == ({4}, {6})
    calls.begin(FIRST, by=ONE)
    calls.end(SECOND)
    assert (kernel.bound(ONE), kernel.bound(TWO)) == ({4}, {6})
    for _ in range(3):
        calls.begin(SECOND, by=TWO)
        calls.end(SECOND)
        assert (calls.woke[TWO], kernel.bound(ONE)) == ({6}, {4})


def test_who_waits_for_a_call_is_where_it_is_computed() -> None:
    """Elsewhere it would wait for the other call at the end of its own, with a CPU idle."""
    kernel, calls = _two_calls()
    assert (
        (kernel.bound(FIRST), kernel.bound(SECOND))
        == ({4}, {6})
        == (calls.kernel.bound(ONE), calls.woke[TWO])
    )
    calls.end(FIRST)
    calls.begin(FIRST, by=ONE)
    assert (kernel.bound(FIRST), kernel.bound(SECOND)) == ({4}, {6})


def test_the_event_loop_gets_the_cpu_that_a_call_left() -> None:
    """Where it ran, the other call would wait for it, or it for the call, with a CPU idle."""
    kernel, calls = _two_calls()
    calls.end(FIRST)
    assert (kernel.bound(SECOND), kernel.event_loop) == ({6}, {4})
    calls.begin(FIRST, by=ONE)
    assert (kernel.bound(FIRST), kernel.bound(SECOND), kernel.event_loop) == ({4}, {6}, set(BOTH))


def test_a_thread_that_is_about_to_sleep_is_not_taken_for_one_that_computes() -> None:
    """Whom it wakes may get its CPU before it has gone to sleep: the event loop would go to the other's."""
    kernel, calls = _two_calls()
    calls.end(FIRST)
    kernel.running.add(ONE)
    calls.begin(FIRST, by=ONE)
    assert (kernel.bound(FIRST), kernel.bound(SECOND)) == ({4}, {6})
    calls.end(SECOND)
    kernel.running.add(TWO)
    calls.begin(SECOND, by=TWO)
    calls.end(FIRST)
    assert kernel.event_loop == {4}


def test_a_call_that_another_thread_took_than_was_thought_is_found() -> None:
    """Both are free for a moment when two calls end at once. The event loop would be in its way for good."""
    kernel, calls = _two_calls()
    kernel.running.discard(TWO)  # it is done, and nobody was told so far
    calls.end(FIRST)
    calls.begin(FIRST, by=TWO)
    calls.end(SECOND)
    assert (kernel.bound(FIRST), kernel.event_loop) == ({6}, {4})
    calls.begin(SECOND, by=ONE)
    assert (kernel.bound(FIRST), kernel.bound(SECOND)) == ({6}, {4})


def test_while_it_is_not_known_where_a_call_is_computed_the_event_loop_may_run_anywhere() -> None:
    """Two that begin at once have not been seen yet; it would go to the CPU of one of them."""
    kernel = FakeKernel()
    calls = Calls(kernel)
    calls.begin(FIRST, by=ONE, seen=False)
    calls.begin(SECOND, by=TWO, seen=False)
    assert kernel.event_loop == BOTH
    calls.wake(ONE)
    calls.wake(TWO)
    calls.end(SECOND)
    assert kernel.event_loop == kernel.bound(TWO) == BOTH - kernel.bound(ONE)


def test_nothing_stays_bound_once_no_call_runs() -> None:
    """Bound to one CPU, the event loop would wait for whatever else comes to run there."""
    kernel, calls = _two_calls()
    calls.end(FIRST)
    calls.end(SECOND)
    assert kernel.event_loop == BOTH
    calls.begin(SECOND, by=ONE)
    assert kernel.bound(SECOND) == calls.woke[ONE] == kernel.bound(TWO) == kernel.event_loop == BOTH


def test_what_a_call_in_full_swing_costs() -> None:
    """At its start and at its end one thread is looked at, and the event loop bound, and who was let go."""
    kernel, calls = _two_calls()
    calls.end(FIRST)
    calls.begin(FIRST, by=ONE)
    binds, looks = kernel.binds, kernel.looks
    for caller, by in ((SECOND, TWO), (FIRST, ONE)) * 5:
        calls.end(caller)
        calls.begin(caller, by=by)
    assert (kernel.binds - binds, kernel.looks - looks) == (30, 20)


def test_three_of_three_get_one_each_wherever_they_ran() -> None:
    """The kernel may have had two on one CPU when the third came."""
    kernel = FakeKernel(cpus=(0, 1, 2))
    kernel.last = {ONE: 1, TWO: 1, THREE: 1}
    calls = Calls(kernel, (ONE, TWO, THREE))
    calls.begin(FIRST, by=TWO)
    calls.begin(SECOND, by=ONE)
    assert kernel.bound(TWO) == {1}
    assert kernel.event_loop == {0, 2}, "where the call that begins may be computed, and where not"
    calls.begin(THIRD, by=THREE)
    got = [kernel.bound(TWO), calls.woke[ONE], calls.woke[THREE]]
    assert set().union(*got) == {0, 1, 2}
    assert [len(cpus) for cpus in got] == [1, 1, 1]
    calls.end(SECOND)
    assert kernel.event_loop == calls.woke[ONE]


def test_the_event_loop_is_not_driven_to_a_cpu_on_a_guess() -> None:
    """Of several that are free, any may take the call that begins; one that has is known once it is seen."""
    kernel = FakeKernel(cpus=(0, 1, 2))
    calls = Calls(kernel, (ONE, TWO, THREE))
    calls.begin(FIRST, by=ONE)
    calls.begin(SECOND, by=THREE)
    assert kernel.event_loop == {0, 1, 2} - kernel.bound(ONE)
    calls.begin(THIRD, by=TWO)
    calls.end(THIRD)
    assert kernel.event_loop == {0, 1, 2} - kernel.bound(ONE) - kernel.bound(THREE)


@pytest.mark.parametrize("last", [{ONE: 9, TWO: 9}, {}], ids=["gone", "unknown"])
def test_a_cpu_that_is_unknown_or_no_longer_ours_is_not_taken(last: dict[int, int]) -> None:
    """What a thread does cannot be read on every kernel, and a container's CPUs can change while it runs."""
    kernel = FakeKernel()
    calls = Calls(kernel)
    kernel.last = dict(last)
    for caller in (FIRST, SECOND):
        calls.placed.begin(caller)
    assert kernel.bound(ONE) | kernel.bound(TWO) == BOTH
    assert kernel.bound(ONE) != kernel.bound(TWO)
    calls.placed.end(FIRST)
    calls.placed.begin(FIRST)


def test_where_threads_may_not_be_bound_the_service_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A sandbox may forbid the system call; that must not fail a request, or be tried again for each."""
    caplog.set_level("INFO", logger=placement.logger.name)
    kernel = FakeKernel()
    kernel.forbidden = True
    calls = Calls(kernel)
    calls.begin(FIRST, by=ONE)
    calls.begin(SECOND, by=TWO)
    tried, looked = kernel.binds, kernel.looks
    assert tried
    calls.end(FIRST)
    calls.begin(FIRST, by=ONE)
    calls.end(FIRST)
    calls.end(SECOND)
    calls.begin(FIRST, by=ONE)
    assert (kernel.binds, kernel.looks) == (tried, looked)
    assert [record.getMessage() for record in caplog.records] == [
        "threads cannot be bound to CPUs (Operation not permitted), and are left to the kernel"
    ]


def test_when_the_containers_cpus_change_every_thread_gets_the_new_ones() -> None:
    """On what is left of the old ones, calls and event loop would share a CPU for good."""
    kernel, calls = _two_calls()
    kernel.cpus = {6, 8}
    calls.end(SECOND)
    calls.begin(SECOND, by=TWO)
    assert kernel.event_loop == {6, 8}
    assert all(kernel.bound(thread) == {6, 8} for thread in (FIRST, SECOND, ONE, TWO))


def test_an_end_without_a_beginning_does_no_harm() -> None:
    """A call may fail before it is placed; its end comes in any case."""
    kernel, calls = _two_calls()
    calls.placed.end(THIRD)
    assert kernel.event_loop == BOTH


@linux
@pytest.mark.parametrize(
    ("found", "threads", "workers", "cpus", "placed"),
    [
        (2, 2, 1, 2, True),
        (0, 2, 1, 2, False),  # it could not be told who computes
        (1, 1, 1, 1, False),  # nothing runs beside it
        (2, 2, 2, 2, False),  # both processes would take the same CPUs
        (4, 4, 1, 4, True),
        (4, 8, 1, 8, False),  # a call has several threads, of which we know one
        (5, 5, 1, 5, False),
        (2, 2, 1, 16, False),  # the kernel has CPUs to spare
    ],
)
def test_placed_is_what_has_as_many_cpus_as_calls(
    monkeypatch: pytest.MonkeyPatch, *, found: int, threads: int, workers: int, cpus: int, placed: bool
) -> None:
    """Elsewhere the kernel does as well, or others need the CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    computing = frozenset(range(-found, 0))
    assert (place_calls(lambda: computing, threads=threads, workers=workers) is not None) == placed


def test_threads_are_not_looked_for_where_they_would_not_be_placed() -> None:
    """That keeps an engine at work for a while at each start."""
    assert place_calls(pytest.fail, threads=1, workers=1) is None


def test_without_the_system_call_nothing_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none on macOS."""
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert place_calls(frozenset, threads=2, workers=1) is None


@linux
async def test_slots_place_each_call_while_it_runs() -> None:
    """Seen by the calls themselves, from the kernel; of a thread that was never bound it would be a guess."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    seen: dict[int, set[int]] = {}
    both, last = threading.Barrier(2, timeout=10), threading.Event()
    computing = [ThreadPoolExecutor(1), ThreadPoolExecutor(1)]

    def beside(batch: list[Encoding]) -> list[Probabilities]:
        length = batch[0].length
        return computing[length - 1].submit(compute, length).result()

    def compute(length: int) -> list[Probabilities]:
        both.wait()
        seen[length] = os.sched_getaffinity(0)
        both.wait()
        if length == 2:
            while not last.is_set():  # as a thread that computes
                pass
        return [()]

    before = os.sched_getaffinity(0)
    threads = [pool.submit(threading.get_native_id).result() for pool in computing]
    slots = Slots(beside, beside, count=2, placement=Placement(cpus, threads, Linux()))
    slots.start()
    try:
        first, second = slots
        runs = [
            asyncio.create_task(slots.run(slot, [RecordingJob(length)], waiting=1))
            for slot, length in ((first, 1), (second, 2))
        ]
        await runs[0]
        assert sorted(seen.values(), key=min) == [{cpu} for cpu in cpus]
        assert os.sched_getaffinity(0) == seen[1], "the event loop is where no call runs"
        assert os.sched_getaffinity(second.worker.native_id) == seen[2], "who waits is where it is computed"
        last.set()
        await runs[1]
        assert os.sched_getaffinity(0) == set(cpus)
    finally:
        last.set()
        await slots.stop(timeout=5)
        for pool in computing:
            pool.shutdown()
        os.sched_setaffinity(0, before)


@linux
def test_the_kernel_is_asked_where_a_thread_ran() -> None:
    """A field further, it would be some other small number; a thread's name may look like fields, too."""
    cpu = min(os.sched_getaffinity(0))
    script = (
        "import os, sys, threading; from pathlib import Path; from mlapi.placement import Linux\n"
        "Path('/proc/self/comm').write_text('a) S 1 (2')\n"
        "os.sched_setaffinity(0, {int(sys.argv[1])}); print(*Linux().look(threading.get_native_id()))"
    )
    for last in {cpu, max(os.sched_getaffinity(0))}:
        done = subprocess.run(
            [sys.executable, "-c", script, str(last)], capture_output=True, text=True, check=True, timeout=60
        )
        assert done.stdout.split() == ["True", str(last)]


@linux
def test_the_kernel_is_asked_whether_a_thread_runs() -> None:
    """One that sleeps computes nothing."""
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        wait_until(lambda: not Linux().look(other.native_id or 0)[0])
    finally:
        done.set()
        other.join()


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
