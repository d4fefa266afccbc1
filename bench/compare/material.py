"""The texts of a round: the same for every contestant, new in every round, none sent twice by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.compare.points import ABOUT_20, BULK, LENGTHS, REAL, REPEATS, REPEATS_96
from bench.load.messages import make_messages
from bench.load.texts import distinct, in_bench_words, with_repeats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.compare.points import Point

FIXED_TEXTS = 100
BULK_TEXTS = 1_000
SHARE_OF_REPEATS = 0.96

MOST_PER_S = {REPEATS: 25_000, REPEATS_96: 10_000}
MOST_TEXTS_PER_S, MOST_TOKENS_PER_S = 4_000, 300_000
"""More than a server on two cores answers, so that requests do not run out."""


class Material:
    """Makes the texts of one round; what was made is kept for the next contestant.

    Args:
        number: Of the round.
        messages: Real ones in the order in which they are sent; None: made up.
        vocabulary: Of the model.
    """

    def __init__(self, number: int, *, messages: Sequence[str] | None, vocabulary: int) -> None:
        self._number = number
        self._messages = messages
        self._vocabulary = vocabulary
        self._made: dict[tuple[Point | str, int], list[str]] = {}

    def texts(self, point: Point, *, seconds: float) -> list[str]:
        """Return what is sent at a point, enough for so many seconds; of real messages, what there is."""
        if point.rate:
            count = round(point.rate * seconds)
        else:
            most = min(MOST_TEXTS_PER_S, MOST_TOKENS_PER_S // (point.tokens or ABOUT_20[1]))
            count = round(MOST_PER_S.get(point.workload, most) * seconds)
        return self._once(point, BULK_TEXTS if point.workload == BULK else count)

    def fixed(self) -> list[str]:
        """Return the set that repeats are drawn from."""
        return self._once("fixed", FIXED_TEXTS)

    def warm_up(self, tokens: Sequence[int], count: int) -> list[str]:
        """Return texts that are measured nowhere: one of each length, then so many of about 20 tokens."""
        each = [self._distinct(f"warm-up {length}", 1, (length, length))[0] for length in tokens]
        return each + self._once("warm-up", count)

    def _once(self, what: Point | str, count: int) -> list[str]:
        if (what, count) not in self._made:
            self._made[what, count] = self._make(what, count)
        return self._made[what, count]

    def _make(self, what: Point | str, count: int) -> list[str]:
        if isinstance(what, str):
            return self._distinct(what, count, ABOUT_20)
        if what.workload == LENGTHS:
            return self._distinct(f"{what}", count, (what.tokens, what.tokens))
        if what.workload in {REPEATS, REPEATS_96}:
            share = 1.0 if what.workload == REPEATS else SHARE_OF_REPEATS
            fresh = self._distinct(f"{what}", count - round(share * count), ABOUT_20)
            return with_repeats(
                fresh, share=share, count=count, seed=self._seed(f"{what}"), fixed=self.fixed()
            )
        if what.workload in {REAL, BULK}:
            return [in_bench_words(each, vocabulary=self._vocabulary) for each in self._real(what, count)]
        return self._distinct(f"{what}", count, ABOUT_20)

    def _real(self, what: Point, count: int) -> Sequence[str]:
        """Return messages: the last ones of a file for the bulk, those before them one by one."""
        if self._messages is None:
            return make_messages(count, seed=self._seed(f"{what}"))
        kept = min(BULK_TEXTS, len(self._messages) // 2)
        return self._messages[-kept:] if what.workload == BULK else self._messages[:-kept][:count]

    def _distinct(self, what: str, count: int, tokens: tuple[int, int]) -> list[str]:
        return distinct(count, tokens=tokens, seed=self._seed(what), vocabulary=self._vocabulary)

    def _seed(self, what: str) -> str:
        return f"round {self._number}, {what}"
