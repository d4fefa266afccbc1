"""An engine that can do several calls at a time: which texts share it, and which have it for themselves."""

from __future__ import annotations

import asyncio
import time

import pytest

from mlapi import slots
from mlapi.errors import EngineError, Overloaded
from mlapi.types import Lane
from tests.support.fakes import RecordingJob, Rig, SharedFakeEngine, eventually, submit


class SharedRig(Rig):
    """A rig whose engine does two calls beside each other."""

    engine: SharedFakeEngine

    def __init__(self, **limits: int) -> None:
        super().__init__(engine=SharedFakeEngine(), **limits)

    async def __aexit__(self, *exit_: object) -> None:
        await super().__aexit__(*exit_)
        assert self.engine.overlaps == 0, "something ran beside a call with all threads"


@pytest.fixture(autouse=True)
def quiet_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the event loop's work count as none: the fake engine takes no time to compare it with."""
    monkeypatch.setattr(slots, "LOOP_LEAST_S", 10.0)


async def _ask(rig: Rig, *lengths: int) -> None:
    jobs = [RecordingJob(length) for length in lengths]
    submit(rig, *jobs)
    await asyncio.gather(*[job.wait() for job in jobs])
    assert [job.error for job in jobs] == [None] * len(jobs)


async def _held(rig: SharedRig, *, batches: int) -> list[RecordingJob]:
    """Keep the engine busy with so many batches of one text until its gate is opened."""
    rig.engine.gate.clear()
    jobs = [RecordingJob(1) for _ in range(batches)]
    submit(rig, *jobs)
    await eventually(lambda: len(rig.engine.batches) == batches)
    return jobs


async def test_each_text_of_a_single_client_gets_all_threads() -> None:
    """Whoever tries the service out, or has little traffic, would wait half as long again."""
    async with SharedRig() as rig:
        for _ in range(5):
            await _ask(rig, 10)
        assert rig.engine.ways == ["alone"] * 5


async def test_texts_that_come_together_are_shared_out() -> None:
    """One slot would do all while the other idles."""
    async with SharedRig() as rig:
        await _ask(rig, *[10] * 32)
        assert [len(batch) for batch in rig.engine.batches] == [16, 16]
        assert rig.engine.ways == ["beside"] * 2


async def test_two_batches_run_at_a_time_and_no_more() -> None:
    """The second core would idle; or calls would wait for a request inside the engine, unseen."""
    async with SharedRig(max_batch_texts=1) as rig:
        rig.engine._seconds = 0.02
        await _ask(rig, *[10] * 8)
        assert rig.engine.most == 2


async def test_nothing_starts_beside_a_text_that_has_all_threads() -> None:
    """Its threads would wait for the one that lost its core; both would take longer than in turn."""
    async with SharedRig() as rig:
        first = (await _held(rig, batches=1))[0]
        late = [RecordingJob(10), RecordingJob(10)]
        submit(rig, *late)
        await asyncio.sleep(0.05)
        assert rig.engine.ways == ["alone"]
        rig.engine._seconds = 0.1
        rig.engine.gate.set()
        await asyncio.gather(*[job.wait() for job in (first, *late)])
        assert rig.engine.ways == ["alone", "beside", "beside"]
        assert rig.engine.most == 2  # then both slots go on


async def test_two_clients_do_not_take_turns_with_all_threads() -> None:
    """Each would find the engine taken by the other for good, which gets less done than sharing it."""
    async with SharedRig() as rig:
        first = (await _held(rig, batches=1))[0]
        second = asyncio.create_task(_ask(rig, 10))
        await asyncio.sleep(0)
        rig.engine.gate.set()
        await asyncio.gather(first.wait(), second)
        await _ask(rig, 10)
        assert rig.engine.ways[:2] == ["alone", "beside"]


async def test_once_the_company_has_gone_a_text_gets_all_threads_again() -> None:
    """One busy moment would make the service slower for as long as it runs."""
    async with SharedRig() as rig:
        await _ask(rig, *[10] * 4)
        for _ in range(3):
            await _ask(rig, 10)
        assert rig.engine.ways == ["beside", "beside", "beside", "alone", "alone"]


async def test_company_of_long_ago_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a burst now and then, most texts that come alone would be answered later than they could be."""
    monkeypatch.setattr(slots, "COMPANY_S", 0.05)
    async with SharedRig() as rig:
        await _ask(rig, *[10] * 4)
        await asyncio.sleep(0.1)
        await _ask(rig, 10)
        assert rig.engine.ways == ["beside", "beside", "alone"]


async def test_an_event_loop_at_work_is_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers from the cache would take a core from a call whose threads then all wait."""
    monkeypatch.setattr(slots, "LOOP_LEAST_S", 0.04)
    async with SharedRig() as rig:
        held = (await _held(rig, batches=1))[0]
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        rig.engine.gate.set()
        await held.wait()
        await _ask(rig, 10)
        await _ask(rig, 10)
        assert rig.engine.ways == ["alone", "beside", "alone"]


async def test_a_slot_that_gets_free_takes_its_share_alone() -> None:
    """It would take all that waits, and the other find next to nothing when it gets free a moment later."""
    async with SharedRig() as rig:
        held = await _held(rig, batches=2)
        jobs = [RecordingJob(10) for _ in range(10)]
        submit(rig, *jobs)
        rig.engine.gate.set()
        await asyncio.gather(*[job.wait() for job in (*held, *jobs)])
        assert max(len(batch) for batch in rig.engine.batches) <= 6


async def test_the_budget_of_tokens_is_for_all_slots_together() -> None:
    """Two batches of the full size would make whoever comes next wait twice as long, and take the memory."""
    async with SharedRig(max_batch_tokens=100) as rig:
        await _ask(rig, *[25] * 8)
        assert [len(batch) for batch in rig.engine.batches] == [2] * 4


async def test_the_expected_wait_counts_all_slots() -> None:
    """Work that two slots can do in time would be refused."""
    async with SharedRig(max_batch_texts=1) as rig:
        rig.engine._seconds = 0.1
        await _ask(rig, 100, 100)  # 0.1 s for both, so 0.05 s for each
        await _held(rig, batches=2)
        submit(rig, *[RecordingJob(100) for _ in range(8)])  # 0.4 s
        rig.batcher.reserve(1, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 0.75)
        with pytest.raises(Overloaded, match="longer than this request may take"):
            rig.batcher.reserve(1, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 0.25)
        rig.batcher.release(RecordingJob(5))
        rig.engine._seconds = 0.0


async def test_a_batch_that_fails_leaves_the_other_slot_alone() -> None:
    """One poisonous text would fail texts that run beside it."""
    async with SharedRig() as rig:
        rig.engine.fail_on = {7}
        jobs = [RecordingJob(7), RecordingJob(30)]
        submit(rig, *jobs)
        await asyncio.gather(*[job.wait() for job in jobs])
        assert [type(job.error) for job in jobs] == [EngineError, type(None)]
        await _ask(rig, 10)


async def test_a_slot_whose_thread_is_gone_leaves_its_work_to_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would fail all texts of both, faster than the other answers, until the pod is restarted."""
    async with SharedRig() as rig:
        monkeypatch.setattr(rig.engine, "infer", _end_of_the_thread)
        job = RecordingJob(10)
        submit(rig, job)
        await job.wait()
        assert isinstance(job.error, EngineError)
        for _ in range(5):
            await _ask(rig, *[10] * 8)
        assert not rig.batcher.healthy(stuck_after=60)


def _end_of_the_thread(_: object) -> None:
    raise SystemExit


async def test_one_stuck_slot_makes_the_whole_unhealthy() -> None:
    """Half the requests would hang, in a pod that nobody restarts."""
    async with SharedRig() as rig:
        await _held(rig, batches=1)
        assert rig.batcher.healthy(stuck_after=60)
        await asyncio.sleep(0.02)
        assert not rig.batcher.healthy(stuck_after=0.01)


async def test_closing_finishes_what_runs_in_each_slot() -> None:
    """A rollout would lose the requests of one slot."""
    async with SharedRig() as rig:
        held = await _held(rig, batches=2)
        closing = asyncio.create_task(rig.batcher.aclose(timeout=5))
        await asyncio.sleep(0.01)
        rig.engine.gate.set()
        await closing
        assert all(job.answer is not None for job in held)


def test_an_engine_with_one_slot_takes_what_there_is() -> None:
    """Engines that cannot share their threads out would get smaller batches for nothing."""
    with pytest.raises(ValueError, match="beside each other"):
        slots.Slots(lambda batch: [()] * len(batch), count=2)
    one = slots.Slots(lambda batch: [()] * len(batch))
    assert one.share(40, Lane.INTERACTIVE, most=64) == 64
