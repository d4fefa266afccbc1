"""One request's way through cache, coalescing, tokenizer and batcher, on the fake engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mlapi.cache.codec import KeyMaker
from mlapi.errors import DeadlineExceeded, Draining, EngineError, Overloaded
from mlapi.predictor import INTERACTIVE_TEXTS
from mlapi.types import Lane, ModelVersion, Outcome, VariantId
from tests.support.fakes import INFO, Rig, eventually


async def _predict(rig: Rig, *texts: str, timeout: float = 30) -> Outcome:  # noqa: ASYNC109
    return await rig.predictor.predict(texts, timeout=timeout)


def _counts(outcome: Outcome) -> tuple[int, int, int]:
    return outcome.hits, outcome.misses, outcome.coalesced


async def test_no_texts_no_answers() -> None:
    """An empty list would be an error, or cost an engine call."""
    async with Rig() as rig:
        assert (await _predict(rig)).predictions == []
        assert rig.texts_run == 0


async def test_a_text_is_computed_once_and_then_cached() -> None:
    """The cache would never be filled, or hit and miss give different answers."""
    async with Rig() as rig:
        miss = await _predict(rig, "a b c")
        hit = await _predict(rig, "a b c")
        assert miss.predictions == hit.predictions
        assert (_counts(miss), _counts(hit)) == ((0, 1, 0), (1, 0, 0))
        assert rig.texts_run == 1


async def test_truncation_is_known_for_hits_too() -> None:
    """`X-Truncated` would depend on whether the text was cached."""
    async with Rig() as rig:
        long = "word " * 600
        assert [(await _predict(rig, long, "short")).truncated for _ in range(2)] == [1, 1]


async def test_repetitions_inside_a_request_are_computed_once() -> None:
    """A request that repeats a text would pay for each repetition, or get its answers out of order."""
    async with Rig() as rig:
        outcome = await _predict(rig, "a", "b", "a", "c", "a")
        first = outcome.predictions
        assert first[0] == first[2] == first[4]
        assert len(set(first)) == 3
        assert _counts(outcome) == (0, 3, 2)
        again = await _predict(rig, "a", "a", "d")
        assert _counts(again) == (2, 1, 0)
        assert rig.texts_run == 4


async def test_one_lookup_per_request() -> None:
    """A request of many texts would make many round trips to Redis."""
    async with Rig() as rig:
        await _predict(rig, *[f"text {number}" for number in range(50)], "text 1")
        assert rig.cache.lookups == [50]


async def test_a_broken_cache_entry_is_a_miss() -> None:
    """Whatever lies under our key in a shared Redis would become an answer, or an error."""
    async with Rig() as rig:
        rig.cache.entries[KeyMaker(INFO)("a")] = b"junk"
        assert _counts(await _predict(rig, "a")) == (0, 1, 0)


async def test_two_requests_for_one_text_reach_the_engine_once() -> None:
    """A popular new text would be computed once per client."""
    async with Rig() as rig:
        rig.engine.gate.clear()
        first = asyncio.create_task(_predict(rig, "a b"))
        second = asyncio.create_task(_predict(rig, "c", "a b"))
        await eventually(lambda: rig.predictor.in_flight == 2)
        rig.engine.gate.set()
        outcomes = await asyncio.gather(first, second)
        assert outcomes[0].predictions[0] == outcomes[1].predictions[1]
        assert _counts(outcomes[1]) == (0, 1, 1)
        assert rig.texts_run == 2


async def test_a_cancelled_first_requester_does_not_fail_the_others() -> None:
    """Everyone who waits for a text would get an error because one client hung up."""
    async with Rig() as rig:
        rig.engine.gate.clear()
        await_busy = asyncio.create_task(_predict(rig, "busy"))
        await rig.engine_is_busy()
        first = asyncio.create_task(_predict(rig, "a", "only mine"))
        await eventually(lambda: rig.batcher.waiting == 3)
        second = asyncio.create_task(_predict(rig, "a"))
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert rig.batcher.waiting == 2
        rig.engine.gate.set()
        assert _counts(await second) == (0, 0, 1)
        await await_busy
        assert rig.texts_run == 2


async def test_a_first_requester_cancelled_during_tokenisation_does_not_fail_the_others() -> None:
    """The text would never be queued, because queueing it died with the request that asked first."""
    async with Rig() as rig:
        first = asyncio.create_task(_predict(rig, "a"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second = asyncio.create_task(_predict(rig, "a"))
        await asyncio.sleep(0)
        first.cancel()
        assert len((await second).predictions) == 1


async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    """Killed clients would fill the queue until it refuses everyone."""
    async with Rig() as rig:
        rig.engine.gate.clear()
        busy = asyncio.create_task(_predict(rig, "busy"))
        await rig.engine_is_busy()
        doomed = asyncio.create_task(_predict(rig, *[f"t {n}" for n in range(40)]))
        await eventually(lambda: rig.batcher.waiting == 17)
        doomed.cancel()
        await asyncio.gather(doomed, return_exceptions=True)
        await eventually(lambda: rig.batcher.waiting == 1)
        assert rig.predictor.in_flight == 1
        rig.engine.gate.set()
        await busy
        assert rig.texts_run == 1


async def test_an_answer_on_its_way_is_kept_though_its_client_left() -> None:
    """Engine time already spent would be thrown away, and the client's retry pay again."""
    async with Rig() as rig:
        rig.engine.gate.clear()
        doomed = asyncio.create_task(_predict(rig, "a"))
        await rig.engine_is_busy()
        doomed.cancel()
        await asyncio.gather(doomed, return_exceptions=True)
        retry = asyncio.create_task(_predict(rig, "a"))
        await asyncio.sleep(0.01)
        rig.engine.gate.set()
        assert _counts(await retry) == (0, 0, 1)
        assert _counts(await _predict(rig, "a")) == (1, 0, 0)
        assert rig.texts_run == 1


async def test_the_deadline_ends_the_wait() -> None:
    """Clients would wait for ever for a slow engine, and their texts be computed for nobody."""
    async with Rig() as rig:
        rig.engine.gate.clear()
        busy = asyncio.create_task(_predict(rig, "busy"))
        await rig.engine_is_busy()
        with pytest.raises(DeadlineExceeded):
            await _predict(rig, "late", timeout=0.05)
        await eventually(lambda: rig.batcher.waiting == 1)
        rig.engine.gate.set()
        await busy
        assert rig.texts_run == 1


async def test_a_later_requester_extends_the_deadline() -> None:
    """A patient client would get the 504 of an impatient one that asked for the same text first."""
    async with Rig() as rig:
        rig.engine.gate.clear()
        busy = asyncio.create_task(_predict(rig, "busy"))
        await rig.engine_is_busy()
        impatient = asyncio.create_task(_predict(rig, "a", timeout=0.05))
        await asyncio.sleep(0.01)
        patient = asyncio.create_task(_predict(rig, "a"))
        with pytest.raises(DeadlineExceeded):
            await impatient
        rig.engine.gate.set()
        assert len((await patient).predictions) == 1
        await busy


async def test_an_engine_failure_reaches_everyone_who_waits_and_is_not_cached() -> None:
    """Waiters would hang, or a failure outlive its cause."""
    async with Rig() as rig:
        rig.engine.fail_on = {rig.tokenizer.token("bad")}
        results = await asyncio.gather(
            _predict(rig, "bad"), _predict(rig, "bad", "fine"), return_exceptions=True
        )
        assert [type(result) for result in results] == [EngineError, EngineError]
        rig.engine.fail_on = set()
        assert len((await _predict(rig, "bad")).predictions) == 1
        assert rig.predictor.in_flight == 0


async def test_a_tokenizer_failure_is_an_engine_failure() -> None:
    """A text that the tokenizer cannot take would hang its request and leak its place in the queue."""
    async with Rig() as rig:
        encode = rig.tokenizer.encode
        rig.tokenizer.encode = None  # type: ignore[assignment,method-assign]
        with pytest.raises(EngineError):
            await _predict(rig, "a", "b")
        assert (rig.batcher.waiting, rig.predictor.in_flight) == (0, 0)
        rig.tokenizer.encode = encode  # type: ignore[method-assign]
        assert len((await _predict(rig, "a")).predictions) == 1


async def test_overload_is_told_at_once_and_leaves_nothing() -> None:
    """A refused request would leave flights that nobody lands, and every later request for them hang."""
    async with Rig(max_queue_texts=2) as rig:
        with pytest.raises(Overloaded):
            await _predict(rig, "a", "b", "c")
        assert (rig.batcher.waiting, rig.predictor.in_flight) == (0, 0)
        assert len((await _predict(rig, "a", "b")).predictions) == 2


async def test_bulk_goes_in_windows_and_keeps_order() -> None:
    """A bulk request larger than the queue would be refused, or its answers come back shuffled."""
    async with Rig(window=4, max_queue_texts=8) as rig:
        texts = [f"{'word ' * (number % 7)}{number % 30}" for number in range(100)]
        outcome = await _predict(rig, *texts)
        assert _counts(outcome) == (0, 100 - (100 - len(set(texts))), 100 - len(set(texts)))
        singles = [(await _predict(rig, text)).predictions[0] for text in texts]
        assert outcome.predictions == singles
        assert max(len(batch) for batch in rig.engine.batches) > 1


async def test_bulk_requests_at_once_all_get_through() -> None:
    """Admitted bulk requests would be refused half-way, because others took the room they had waited for."""
    async with Rig(window=4, max_queue_texts=8) as rig:
        rig.engine._seconds = 0.001
        requests = [_predict(rig, *[f"request {number} text {n}" for n in range(60)]) for number in range(3)]
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        answered = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
        assert {type(outcome) for outcome in outcomes} <= {Outcome, Overloaded}
        assert len(answered) >= 1
        assert rig.texts_run == 60 * len(answered)
        assert len(rig.observer.reasons) == 3 - len(answered)


async def test_what_landed_during_the_lookup_is_not_computed_again() -> None:
    """With a slow Redis, every request for a popular new text would compute it once more."""
    async with Rig() as rig:
        first = asyncio.create_task(_predict(rig, "a"))
        await eventually(lambda: rig.cache.lookups == [1])
        rig.cache.gate.clear()
        late = asyncio.create_task(_predict(rig, "a", "b"))
        await eventually(lambda: rig.cache.lookups == [1, 2])
        await first
        rig.cache.gate.set()
        assert _counts(await late) == (1, 1, 0)
        assert rig.texts_run == 2


async def test_recall_answers_only_from_this_process_and_only_whole() -> None:
    """Cached requests would pay for what only new texts need, or partly cached ones be answered in part."""
    async with Rig() as rig:
        assert rig.predictor.recall(["a"]) is None
        computed = await _predict(rig, "a", "b")
        recalled = rig.predictor.recall(["b", "a", "b"])
        assert recalled is not None
        assert recalled.predictions == [computed.predictions[index] for index in (1, 0, 1)]
        assert _counts(recalled) == (3, 0, 0)
        assert rig.predictor.recall(["a", "c"]) is None
        assert rig.predictor.recall(["a"] * 2000) is None
        rig.cache.entries[KeyMaker(INFO)("a")] = b"junk"
        assert rig.predictor.recall(["a"]) is None


async def test_bulk_fails_as_one_when_a_window_fails() -> None:
    """A bulk request would hang, or leave its other windows in the queue."""
    async with Rig(window=2) as rig:
        rig.engine.fail_on = {rig.tokenizer.token("bad")}
        with pytest.raises(EngineError):
            await _predict(rig, "a", "b", "c", "bad", *[f"t {n}" for n in range(20)])
        await eventually(lambda: rig.batcher.waiting == 0)
        assert rig.predictor.in_flight == 0


async def test_a_single_text_waits_for_two_batches_at_most_behind_bulk() -> None:
    """A single text would wait for a bulk request of thousands."""
    async with Rig(window=100, max_batch_texts=4) as rig:
        rig.engine.gate.clear()
        bulk = asyncio.create_task(_predict(rig, *[f"t {n}" for n in range(500)]))
        await rig.engine_is_busy()
        before = len(rig.engine.batches)
        single = asyncio.create_task(_predict(rig, "urgent text here"))
        await eventually(lambda: rig.observer.depth[Lane.INTERACTIVE][0] == 1)
        rig.engine.gate.set()
        await single
        urgent = tuple(rig.tokenizer.encode(["urgent text here"])[0].payload)
        place = next(index for index, batch in enumerate(rig.engine.batches) if urgent in batch)
        assert place - before <= 1  # the running batch is number before - 1, then at most one more
        await bulk


async def test_what_is_left_to_compute_chooses_the_lane() -> None:
    """One new text among many known ones would wait its turn with bulk, in a batch of its own."""
    async with Rig(window=INTERACTIVE_TEXTS) as rig:
        known = [f"t {n}" for n in range(40)]
        new = [f"new {n}" for n in range(INTERACTIVE_TEXTS)]
        await _predict(rig, *known)
        rig.engine.gate.clear()
        before = len(rig.engine.batches)
        busy = asyncio.create_task(_predict(rig, "busy"))
        await rig.engine_is_busy(after=before)
        few = asyncio.create_task(_predict(rig, *known, *new))
        await eventually(lambda: rig.observer.depth[Lane.INTERACTIVE][0] == len(new))
        many = asyncio.create_task(_predict(rig, *[f"other {n}" for n in range(INTERACTIVE_TEXTS + 1)]))
        await eventually(lambda: rig.observer.depth[Lane.BULK][0] > 0)
        again = asyncio.create_task(_predict(rig, *[f"other {n}" for n in range(INTERACTIVE_TEXTS + 1)]))
        await eventually(lambda: rig.cache.lookups[-2:] == [INTERACTIVE_TEXTS + 1] * 2)
        assert rig.observer.depth[Lane.INTERACTIVE][0] == len(new)
        rig.engine.gate.set()
        assert _counts(await few) == (40, len(new), 0)
        await asyncio.gather(busy, many, again)


async def test_a_single_text_that_bulk_waits_for_is_promoted() -> None:
    """A single text would wait for the bulk request that happens to contain it."""
    async with Rig(window=100, max_batch_texts=4) as rig:
        rig.engine.gate.clear()
        bulk = asyncio.create_task(_predict(rig, *[f"t {n}" for n in range(100)]))
        await rig.engine_is_busy()
        single = asyncio.create_task(_predict(rig, "t 90"))
        await eventually(lambda: rig.observer.depth[Lane.INTERACTIVE][0] == 1)
        rig.engine.gate.set()
        assert _counts(await single) == (0, 0, 1)
        assert rig.texts_run < 20
        await bulk
        assert rig.texts_run == 100


async def test_another_version_or_variant_is_a_miss() -> None:
    """A new model would give the old model's answers from the cache."""
    keys = {
        KeyMaker(info)("same text")
        for info in (
            INFO,
            replace(INFO, version=ModelVersion("2" * 16)),
            replace(INFO, variant_id=VariantId("3" * 16)),
            replace(INFO, max_length=128),
        )
    }
    assert len(keys) == 4


async def test_requests_during_shutdown_are_told() -> None:
    """Late requests would hang on a batcher that no longer runs."""
    async with Rig() as rig:
        await rig.batcher.aclose(timeout=1)
        with pytest.raises(Draining):
            await _predict(rig, "a")


async def test_timings_tell_where_the_time_went() -> None:
    """`Server-Timing` would be made up."""
    async with Rig() as rig:
        rig.engine._seconds = 0.02
        times = (await _predict(rig, "a")).timings
        assert times.infer >= 0.02
        assert min(times.cache, times.tokenize, times.queue) >= 0
        assert (await _predict(rig, "a")).timings.infer == 0
