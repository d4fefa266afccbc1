"""The batcher: admission, turns, deadlines, failures, closing."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from mlapi import batching
from mlapi.errors import DeadlineExceeded, Draining, EngineError, Overloaded
from mlapi.types import Lane
from tests.support.fakes import RecordingJob, Rig, eventually, submit


async def _occupy(rig: Rig) -> RecordingJob:
    """Keep the engine busy with one job until its gate is opened."""
    rig.engine.gate.clear()
    job = RecordingJob(1)
    submit(rig, job)
    await rig.engine_is_busy()
    return job


async def test_both_lanes_are_told_of_from_the_start_and_then_as_they_change() -> None:
    """A dashboard would have no line for a lane that nobody has used, or one that stands still."""
    async with Rig() as rig:
        assert rig.observer.depth == dict.fromkeys(Lane, (0, 0))
        await _occupy(rig)
        jobs = [RecordingJob(10), RecordingJob(20)]
        submit(rig, *jobs)
        assert rig.observer.depth[Lane.INTERACTIVE] == (2, 30)
        rig.batcher.discard(jobs[:1])
        assert rig.observer.depth[Lane.INTERACTIVE] == (1, 20)
        rig.engine.gate.set()
        await jobs[1].wait()
        assert rig.observer.depth == dict.fromkeys(Lane, (0, 0))


async def test_jobs_that_wait_together_run_together() -> None:
    """Every text would cost an engine call of its own under load."""
    async with Rig() as rig:
        await _occupy(rig)
        jobs = [RecordingJob(10) for _ in range(5)]
        submit(rig, *jobs)
        rig.engine.gate.set()
        await asyncio.gather(*[job.wait() for job in jobs])
        assert [len(batch) for batch in rig.engine.batches] == [1, 5]
        assert rig.observer.batches == [1, 5]


async def _ask_again_at_once(rig: Rig, times: int) -> None:
    for _ in range(times):
        job = RecordingJob(10)
        submit(rig, job)
        await job.wait()


async def test_who_is_answered_and_asks_again_joins_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients would fall into two halves that take turns, in batches half as large and dearer for it."""
    monkeypatch.setattr(batching, "CATCH_UP_SHARE", 100.0)
    async with Rig() as rig:
        rig.engine._seconds = 0.05
        rig.engine.gate.clear()
        first = asyncio.create_task(_ask_again_at_once(rig, 4))
        await rig.engine_is_busy()
        others = [asyncio.create_task(_ask_again_at_once(rig, 3)) for _ in range(4)]
        await eventually(lambda: rig.batcher.waiting == 5)
        rig.engine.gate.set()
        await asyncio.gather(first, *others)
        assert [len(batch) for batch in rig.engine.batches] == [1, 5, 5, 5]


async def test_a_text_that_is_looked_up_joins_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cache across the network the halves would be back: an answer from there takes many turns."""
    monkeypatch.setattr(batching, "CATCH_UP_SHARE", 100.0)
    async with Rig() as rig:
        rig.engine._seconds = 0.05
        rig.engine.gate.clear()
        answers = asyncio.create_task(rig.predictor.predict(["a", "b"], timeout=10))
        await eventually(lambda: rig.batcher.waiting == 2)
        rig.cache.gate.clear()
        late = asyncio.create_task(rig.predictor.predict(["late"], timeout=10))
        await eventually(lambda: rig.batcher.coming == 1)
        rig.engine.gate.set()
        await answers
        waits = RecordingJob(10)
        submit(rig, waits)
        ran = len(rig.engine.batches)
        await asyncio.sleep(0.1)
        assert len(rig.engine.batches) == ran
        rig.cache.gate.set()
        await asyncio.gather(late, waits.wait())
        assert len(rig.engine.batches) == ran + 1


@pytest.mark.parametrize(
    ("lengths", "full"), [([10] * 7, False), ([10] * 8, True), ([40, 50], False), ([50, 50], True)]
)
async def test_a_full_batch_is_waited_for_by_nobody(
    monkeypatch: pytest.MonkeyPatch, lengths: list[int], full: bool
) -> None:
    """The engine would stand idle before work that is there, for texts of a later batch."""
    monkeypatch.setattr(batching, "CATCH_UP_SHARE", 1000.0)
    async with Rig(max_batch_texts=8, max_batch_tokens=100) as rig:
        running = await _occupy(rig)
        rig.engine._seconds = 0.001
        jobs = [RecordingJob(length) for length in lengths]
        submit(rig, *jobs)
        rig.batcher.coming = 1  # for as long as this lasts, only a full batch ends the wait
        rig.engine.gate.set()
        await running.wait()
        await asyncio.sleep(0.05)
        assert (len(rig.engine.batches) > 1) == full
        rig.batcher.coming = 0
        await asyncio.gather(*[job.wait() for job in jobs])


async def test_the_next_text_of_a_single_client_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet service would answer later for the sake of company that does not come."""
    monkeypatch.setattr(batching, "CATCH_UP_SHARE", 1000.0)
    async with Rig() as rig:
        rig.engine._seconds = 0.01
        rig.batcher.coming = 1  # whoever waited for that would wait for ten seconds
        begun = time.monotonic()
        await _ask_again_at_once(rig, 3)
        assert time.monotonic() - begun < 5
        rig.batcher.coming = 0


async def test_the_engine_does_not_wait_for_an_event_loop_that_always_has_more_to_do() -> None:
    """A flood of texts would keep the engine idle for as long as it goes on."""
    many = 1_000_000
    async with Rig(max_batch_texts=many, max_batch_tokens=many, max_queue_texts=many) as rig:
        rig.engine._seconds = 0.05
        submit(rig, RecordingJob(1), RecordingJob(1))
        until = time.monotonic() + 5.0
        while len(rig.engine.batches) < 4 and time.monotonic() < until:
            submit(rig, RecordingJob(1, deadline=until + 1e6))
            time.sleep(0.0005)  # noqa: ASYNC251 - a turn of the event loop that takes long
            await asyncio.sleep(0)
        assert len(rig.engine.batches) == 4


async def test_lanes_take_turns() -> None:
    """A single text would wait for a whole bulk request, or bulk work never get its turn."""
    async with Rig(max_batch_texts=4) as rig:
        await _occupy(rig)
        bulk = [RecordingJob(20, lane=Lane.BULK) for _ in range(12)]
        submit(rig, *bulk)
        singles = [RecordingJob(10) for _ in range(8)]
        submit(rig, *singles)
        rig.engine.gate.set()
        await asyncio.gather(*[job.wait() for job in [*bulk, *singles]])
        kinds = ["bulk" if batch[0][0] == 20 else "single" for batch in rig.engine.batches[1:]]
        assert kinds == ["bulk", "single", "bulk", "single", "bulk"]


async def test_a_full_lane_refuses_and_the_other_does_not() -> None:
    """Memory would grow without bound, or bulk work lock single texts out."""
    async with Rig(max_queue_texts=3) as rig:
        await _occupy(rig)
        submit(rig, *[RecordingJob(5, lane=Lane.BULK) for _ in range(3)])
        with pytest.raises(Overloaded) as refusal:
            rig.batcher.reserve(1, lane=Lane.BULK, deadline=time.monotonic() + 60)
        assert refusal.value.retry_after >= 1
        assert rig.observer.reasons == ["texts"]
        rig.batcher.reserve(3, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 60)
        with pytest.raises(Overloaded):
            rig.batcher.reserve(1, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 60)
        for _ in range(3):
            rig.batcher.release(RecordingJob(5))


async def test_waiting_tokens_are_bounded() -> None:
    """A few thousand long texts would be admitted that take minutes to run."""
    async with Rig(max_queue_tokens=100) as rig:
        await _occupy(rig)
        submit(rig, RecordingJob(100))
        with pytest.raises(Overloaded):
            rig.batcher.reserve(1, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 60)
        assert rig.observer.reasons == ["tokens"]


async def test_what_cannot_meet_its_deadline_is_refused_at_the_door() -> None:
    """Clients would wait until their deadline only to hear that it passed."""
    async with Rig(max_batch_tokens=100) as rig:
        rig.engine._seconds = 0.05
        first = RecordingJob(100)
        submit(rig, first)
        await first.wait()
        rig.engine.gate.clear()
        submit(rig, *[RecordingJob(100) for _ in range(20)])
        with pytest.raises(Overloaded, match="longer than this request may take"):
            rig.batcher.reserve(1, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 0.2)
        assert rig.observer.reasons == ["deadline"]
        rig.batcher.reserve(1, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 600)
        rig.batcher.release(RecordingJob(5))
        rig.engine._seconds = 0.0


async def test_an_idle_engine_admits_anything() -> None:
    """One slow call, as of a machine that was paused, would make the service refuse all work for good."""
    async with Rig() as rig:
        rig.batcher._speed.note(texts=1, tokens=10, seconds=300)
        job = RecordingJob(100, deadline=time.monotonic() + 1)
        submit(rig, job)
        await job.wait()
        assert job.answer is not None


async def test_jobs_past_their_deadline_do_not_reach_the_engine() -> None:
    """Under overload the engine would work on answers that nobody waits for."""
    async with Rig() as rig:
        await _occupy(rig)
        late, good = RecordingJob(7), RecordingJob(8)
        submit(rig, late, good)
        late.deadline = time.monotonic() - 1
        rig.engine.gate.set()
        await asyncio.gather(late.wait(), good.wait())
        assert isinstance(late.error, DeadlineExceeded)
        assert good.answer is not None
        assert rig.texts_run == 2
        assert rig.observer.reasons == ["expired"]


async def test_a_batch_of_expired_jobs_is_skipped_whole() -> None:
    """The engine would be called with an empty batch."""
    async with Rig() as rig:
        await _occupy(rig)
        late = RecordingJob(7)
        submit(rig, late)
        late.deadline = time.monotonic() - 1
        rig.engine.gate.set()
        await late.wait()
        assert rig.texts_run == 1


async def test_discarded_jobs_do_not_reach_the_engine() -> None:
    """Texts of clients that left would cost engine time."""
    async with Rig() as rig:
        occupant = await _occupy(rig)
        gone, good = RecordingJob(7), RecordingJob(8)
        submit(rig, gone, good)
        rig.batcher.discard([gone, occupant])
        assert rig.observer.depth[Lane.INTERACTIVE] == (1, 8)
        rig.engine.gate.set()
        await asyncio.gather(good.wait(), occupant.wait())
        assert rig.texts_run == 2
        assert not gone.ended.is_set()
        assert occupant.answer is not None


async def test_a_promoted_job_changes_lanes() -> None:
    """A single text that is also part of a bulk request would wait for that whole request."""
    async with Rig(max_batch_texts=1) as rig:
        await _occupy(rig)
        bulk = [RecordingJob(20 + number, lane=Lane.BULK) for number in range(4)]
        submit(rig, *bulk)
        rig.batcher.promote(bulk[3])
        rig.batcher.promote(bulk[3])
        assert rig.observer.depth == {Lane.INTERACTIVE: (1, 23), Lane.BULK: (3, 63)}
        rig.engine.gate.set()
        await asyncio.gather(*[job.wait() for job in bulk])
        order = [batch[0][0] for batch in rig.engine.batches[1:]]
        assert order == [20, 23, 21, 22]


async def test_a_job_promoted_before_it_is_submitted_keeps_the_books_straight() -> None:
    """Reservations would leak from one lane to the other until one refuses everything."""
    async with Rig(max_queue_texts=1) as rig:
        job = RecordingJob(5, lane=Lane.BULK)
        rig.batcher.reserve(1, lane=Lane.BULK, deadline=job.deadline)
        rig.batcher.promote(job)
        assert rig.batcher.waiting == 1
        rig.batcher.reserve(1, lane=Lane.BULK, deadline=job.deadline)
        rig.batcher.submit([job])
        await job.wait()
        other = RecordingJob(5, lane=Lane.BULK)
        rig.batcher.release(other)
        assert rig.batcher.waiting == 0


async def test_a_job_promoted_while_it_runs_keeps_the_books_straight() -> None:
    """A reservation would be taken back that the running text no longer holds."""
    async with Rig() as rig:
        rig.engine.gate.clear()
        job = RecordingJob(5, lane=Lane.BULK)
        submit(rig, job)
        await rig.engine_is_busy()
        rig.batcher.promote(job)
        rig.engine.gate.set()
        await job.wait()
        await eventually(lambda: rig.batcher.waiting == 0)


async def test_a_failing_batch_fails_its_own_jobs_only() -> None:
    """One poisonous text would take the others' answers, or the whole service, with it."""
    async with Rig(max_batch_texts=2) as rig:
        await _occupy(rig)
        rig.engine.fail_on = {7}
        jobs = [RecordingJob(7), RecordingJob(8), RecordingJob(30), RecordingJob(31)]
        submit(rig, *jobs)
        rig.engine.gate.set()
        await asyncio.gather(*[job.wait() for job in jobs])
        assert [type(job.error) for job in jobs] == [EngineError, EngineError, type(None), type(None)]
        assert rig.observer.failures == 1
        assert rig.batcher.healthy(stuck_after=60)


async def test_a_wrong_number_of_answers_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts would get each other's scores."""
    async with Rig() as rig:
        monkeypatch.setattr(rig.engine, "infer", lambda batch: np.zeros((len(batch) - 1, 2), np.float32))
        job = RecordingJob(5)
        submit(rig, job)
        await job.wait()
        assert isinstance(job.error, EngineError)


async def test_room_is_waited_for_in_turn() -> None:
    """The later windows of a bulk request would be refused half-way, or hang when room appears."""
    async with Rig(max_queue_texts=2) as rig:
        await _occupy(rig)
        jobs = [RecordingJob(5, lane=Lane.BULK) for _ in range(2)]
        submit(rig, *jobs)
        waiter = asyncio.create_task(rig.batcher.room(2, lane=Lane.BULK))
        gone = asyncio.create_task(rig.batcher.room(1, lane=Lane.BULK))
        await asyncio.sleep(0)
        assert not waiter.done()
        gone.cancel()
        rig.engine.gate.set()
        await asyncio.wait_for(waiter, 5)


async def test_closing_finishes_what_was_admitted() -> None:
    """A rollout would lose the requests under way."""
    rig = Rig()
    async with rig:
        await _occupy(rig)
        job = RecordingJob(5)
        submit(rig, job)
        closing = asyncio.create_task(rig.batcher.aclose(timeout=5))
        await asyncio.sleep(0)
        with pytest.raises(Draining):
            rig.batcher.reserve(1, lane=Lane.INTERACTIVE, deadline=time.monotonic() + 60)
        rig.engine.gate.set()
        await closing
        assert job.answer is not None
        assert not rig.batcher.healthy(stuck_after=60)


async def test_closing_does_not_wait_for_ever() -> None:
    """A hung engine would keep the process from shutting down, and its clients without a word."""
    rig = Rig()
    async with rig:
        running = await _occupy(rig)
        waiting = RecordingJob(5)
        submit(rig, waiting)
        await rig.batcher.aclose(timeout=0.05)
        assert isinstance(running.error, Draining)
        assert isinstance(waiting.error, Draining)


async def test_what_is_submitted_after_closing_is_told() -> None:
    """Texts that were still being tokenised at shutdown would wait until their own deadline."""
    rig = Rig()
    async with rig:
        job = RecordingJob(5)
        rig.batcher.reserve(1, lane=job.lane, deadline=job.deadline)
        await rig.batcher.aclose(timeout=0.05)
        rig.batcher.submit([job])
        assert isinstance(job.error, Draining)


async def test_not_started_is_not_healthy_and_closes() -> None:
    """A failed start would hang instead of ending."""
    rig = Rig()
    assert not rig.batcher.healthy(stuck_after=60)
    await rig.batcher.aclose(timeout=0)
