"""Lookups of several requests share questions, and nobody pays for that but with a millisecond."""

from __future__ import annotations

import asyncio
import random

import pytest

from mlapi.cache.lookups import MOST_SHARED, Lookups
from mlapi.types import CacheKey


def key(number: int) -> CacheKey:
    """A key that tells its number."""
    return CacheKey(b"%d" % number)


class Far:
    """A cache that holds every key but those of odd numbers, and answers when it is told to."""

    def __init__(self) -> None:
        self.questions: list[list[int]] = []
        self.dropped: list[list[int]] = []
        self.answers = asyncio.Event()
        self.error: Exception | None = None

    async def ask(self, keys: object) -> list[bytes | None]:
        numbers = [int(one) for one in keys]  # type: ignore[attr-defined]
        self.questions.append(numbers)
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.dropped.append(numbers)
            raise
        if self.error is not None:
            raise self.error
        return [None if number % 2 else b"v%d" % number for number in numbers]


def look_up(lookups: Lookups, *numbers: int) -> asyncio.Task[list[bytes | None]]:
    """One request's lookup, under way by itself."""
    return asyncio.create_task(lookups.get_many([key(number) for number in numbers]))


async def turns(count: int = 5) -> None:
    """Let everything run that waits for nothing but its turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_lone_lookup_goes_out_at_once() -> None:
    """Every request on an idle service would wait for others that do not come."""
    far = Far()
    task = look_up(Lookups(far.ask), 2, 3)
    await turns()
    assert far.questions == [[2, 3]]
    far.answers.set()
    assert await task == [b"v2", None]


async def test_lookups_of_one_turn_share_a_question() -> None:
    """Requests that came together would each pay for a question of their own, or get each other's values."""
    far = Far()
    lookups = Lookups(far.ask)
    far.answers.set()
    found = await asyncio.gather(*(look_up(lookups, number, number + 1) for number in (2, 5, 8)))
    assert far.questions == [[2, 3, 5, 6, 8, 9]]
    assert found == [[b"v2", None], [None, b"v6"], [b"v8", None]]


async def test_what_gathers_goes_out_with_the_answer_to_the_one_before() -> None:
    """Under load each lookup would make a question, or wait for a timer."""
    far = Far()
    lookups = Lookups(far.ask, linger_s=1_000)
    first = look_up(lookups, 2)
    await turns()
    others = [look_up(lookups, 4), look_up(lookups, 6)]
    await turns()
    assert far.questions == [[2]]
    far.answers.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(first, *others) == [[b"v2"], [b"v4"], [b"v6"]]
    assert far.questions == [[2], [4, 6]]


async def test_a_slow_question_holds_the_others_up_for_a_moment_only() -> None:
    """One question that hangs would cost those who gather behind it its timeout, and then their own."""
    far = Far()
    lookups = Lookups(far.ask)
    tasks = []
    async with asyncio.timeout(5):
        for asked in range(1, 4):
            tasks += [look_up(lookups, 4 * asked), look_up(lookups, 4 * asked + 2)]
            while len(far.questions) < asked:  # noqa: ASYNC110 - no event tells of a question
                await asyncio.sleep(0.001)
    assert far.questions == [[4, 6], [8, 10], [12, 14]]
    far.answers.set()
    async with asyncio.timeout(5):
        assert [value for [value] in await asyncio.gather(*tasks)] == [b"v%d" % n for n in range(4, 15, 2)]


async def test_many_keys_do_not_wait_for_others() -> None:
    """A bulk request's lookup would hold up the single ones that share its question, and wait for theirs."""
    far = Far()
    lookups = Lookups(far.ask, linger_s=1_000)
    first = look_up(lookups, 2)
    await turns()
    second = look_up(lookups, 4)
    bulk = look_up(lookups, *range(MOST_SHARED + 1))
    await turns()
    assert far.questions == [[2], list(range(MOST_SHARED + 1))]
    far.answers.set()
    async with asyncio.timeout(5):
        assert [await first, await second] == [[b"v2"], [b"v4"]]
        assert (await bulk)[:3] == [b"v0", None, b"v2"]


async def test_who_went_away_harms_nobody() -> None:
    """A client that hung up would cancel the lookups of all that share its question."""
    far = Far()
    lookups = Lookups(far.ask, linger_s=1_000)
    tasks = [look_up(lookups, number) for number in (2, 4, 6)]
    await turns()
    late = [look_up(lookups, number) for number in (8, 10)]
    await turns()
    tasks[0].cancel()
    tasks[1].cancel()
    late[0].cancel()
    await turns()
    far.answers.set()
    async with asyncio.timeout(5):
        assert await tasks[2] == [b"v6"]
        assert await late[1] == [b"v10"]
    assert far.questions == [[2, 4, 6], [10]]
    assert tasks[0].cancelled()


async def test_nothing_is_asked_for_nobody() -> None:
    """Redis would be asked for requests that are all gone."""
    far = Far()
    lookups = Lookups(far.ask)
    task = look_up(lookups, 2)
    await asyncio.sleep(0)
    task.cancel()
    await turns()
    far.answers.set()
    async with asyncio.timeout(5):
        assert await look_up(lookups, 4) == [b"v4"]
    assert far.questions == [[4]]


async def test_a_failure_is_a_miss_for_all_who_waited_and_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Lookups that shared a failed question would wait for ever or fail, or the next ones would, too."""
    far = Far()
    far.error = ValueError("of the test")
    far.answers.set()
    lookups = Lookups(far.ask)
    async with asyncio.timeout(5):
        assert [value for task in (look_up(lookups, 2), look_up(lookups, 4)) for value in await task] == [
            None
        ] * 2
        assert "ValueError" in caplog.text
        assert "of the test" not in caplog.text
        far.error = None
        assert await look_up(lookups, 6) == [b"v6"]


@pytest.mark.parametrize("count", [0, 2, 4])
async def test_answers_that_do_not_fit_are_given_to_nobody(count: int) -> None:
    """One value too few or too many, and each request would get another's answer."""

    async def ask(_: object) -> list[bytes | None]:
        return [b"v"] * count

    lookups = Lookups(ask)
    async with asyncio.timeout(5):
        first, second = look_up(lookups, 2, 4), look_up(lookups, 6)
        assert [await first, await second] == [[None, None], [None]]


async def test_a_question_that_all_have_left_is_dropped() -> None:
    """Clients that hung up on a hanging cache would leave their questions, and connections, behind."""
    far = Far()
    lookups = Lookups(far.ask)
    tasks = [look_up(lookups, number) for number in (2, 4)]
    await turns()
    tasks[0].cancel()
    await turns()
    assert not far.dropped
    tasks[1].cancel()
    await turns()
    assert far.dropped == [[2, 4]]
    far.answers.set()
    async with asyncio.timeout(5):
        assert await look_up(lookups, 6) == [b"v6"]


async def test_a_question_that_is_cancelled_is_a_miss() -> None:
    """Whoever waits would take it for its own cancellation, which means that the client has gone."""
    far = Far()
    lookups = Lookups(far.ask)
    task = look_up(lookups, 2)
    await turns()
    (question,) = [one for one in asyncio.all_tasks() if one.get_name() == "mlapi-cache-lookup"]
    question.cancel()
    async with asyncio.timeout(5):
        assert await task == [None]


async def test_after_the_end_nothing_is_asked_and_nobody_waits() -> None:
    """Redis would be connected to once more after the service has closed, or a request would never end."""
    far = Far()
    lookups = Lookups(far.ask, linger_s=1_000)
    under_way = look_up(lookups, 2)
    await turns()
    gathered = look_up(lookups, 4)
    await turns()
    lookups.close()
    async with asyncio.timeout(5):
        assert await gathered == [None]
        assert await look_up(lookups, 6) == [None]
        far.answers.set()
        assert await under_way == [b"v2"]
    await asyncio.sleep(0.01)
    assert far.questions == [[2]]


async def test_a_question_that_has_not_left_does_not_leave_after_the_end() -> None:
    """As above, in the turn before the question goes out."""
    far = Far()
    lookups = Lookups(far.ask)
    task = look_up(lookups, 2)
    await asyncio.sleep(0)
    lookups.close()
    async with asyncio.timeout(5):
        assert await task == [None]
    assert far.questions == []


@pytest.mark.parametrize("seed", range(5))
async def test_everyone_gets_what_was_asked_for(seed: int) -> None:
    """In some order of requests and answers, a lookup would get another's values, or none at all."""
    chance = random.Random(seed)
    far = Far()
    far.answers.set()

    async def ask(keys: object) -> list[bytes | None]:
        await asyncio.sleep(chance.choice([0, 0, 0.0005, 0.003]))
        return await far.ask(keys)

    lookups = Lookups(ask)

    async def client(name: int) -> None:
        for step in range(20):
            numbers = [chance.randrange(1000) + 1000 * name for _ in range(chance.randrange(1, 30))]
            expected = [None if number % 2 else b"v%d" % number for number in numbers]
            assert await lookups.get_many([key(number) for number in numbers]) == expected
            if step % 3 == 0:
                await asyncio.sleep(chance.choice([0, 0.001]))

    async with asyncio.timeout(30):
        await asyncio.gather(*map(client, range(8)))
