"""Texts for the bench's models: of exactly so many tokens, or realistic messages; distinct, and seeded.

The vocabulary of `bench.model` is `w200`, `w201`, ...: one token each. Everything here needs the standard
library alone.
"""

from __future__ import annotations

import hashlib
import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.load.request import Request

FIRST_WORD = 200
VOCABULARY = 30_522
"""Of distilbert-base, and of the bench's full-size model."""

SPECIAL_TOKENS = 2
SHORTEST = 4
"""Tokens, special ones included, below which there are not enough texts to be distinct."""

PIECE_LETTERS = 8


def distinct(
    count: int, *, tokens: tuple[int, int], seed: int | str, vocabulary: int = VOCABULARY
) -> list[str]:
    """Return so many texts, no two alike.

    Args:
        count: How many.
        tokens: Fewest and most tokens of a text, special tokens included; evenly distributed.
        seed: Another seed gives other texts.
        vocabulary: Of the model that reads them.

    Raises:
        ValueError: The texts would have to be too short to be distinct.
    """
    fewest, most = tokens
    if fewest < SHORTEST:
        raise ValueError(f"texts of fewer than {SHORTEST} tokens are not distinct")
    generator = random.Random(f"{seed}")
    found: dict[str, None] = {}
    while len(found) < count:
        words = generator.randint(fewest, most) - SPECIAL_TOKENS
        found[" ".join(f"w{generator.randrange(FIRST_WORD, vocabulary)}" for _ in range(words))] = None
    return list(found)


def in_bench_words(message: str, *, vocabulary: int = VOCABULARY) -> str:
    """Return a text of the bench's words with about as many tokens as the message has in a real vocabulary.

    As in BERT's tokenizer every mark stands alone and letters lose their case; a run of letters or digits
    makes one token for each eight that it begins. Each piece becomes always the same word, so that equal
    messages stay equal and different ones different.
    """
    pieces = [
        run[start : start + PIECE_LETTERS]
        for run in re.findall(r"[^\W_]+|[^\w\s]|_", message.lower())
        for start in range(0, len(run), PIECE_LETTERS)
    ]
    return " ".join(_word(piece, vocabulary) for piece in pieces)


def _word(piece: str, vocabulary: int) -> str:
    number = int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=8).digest(), "big")
    return f"w{FIRST_WORD + number % (vocabulary - FIRST_WORD)}"


def with_repeats(
    fresh: Sequence[str], *, share: float, count: int, seed: int | str, fixed: Sequence[str]
) -> list[str]:
    """Return so many texts of which a share is drawn from a fixed set and the rest is fresh, in their order.

    Args:
        fresh: Taken from its beginning, each once.
        share: Of repeats; exact but for rounding, spread at random.
        count: How many texts in all.
        seed: Another seed mixes and draws otherwise.
        fixed: Drawn from evenly.

    Raises:
        ValueError: There are not enough fresh texts.
    """
    repeats = round(share * count)
    if len(fresh) < count - repeats:
        raise ValueError(f"{count - repeats} fresh texts are needed, not {len(fresh)}")
    generator = random.Random(f"{seed}")
    order = [True] * repeats + [False] * (count - repeats)
    generator.shuffle(order)
    source = iter(fresh)
    return [generator.choice(fixed) if repeat else next(source) for repeat in order]


def requests(texts: Sequence[str], make: Callable[[str], Request]) -> list[Request]:
    """Return one request for each text; equal texts share theirs.

    Args:
        texts: In the order in which they are sent.
        make: Makes the request for a text.
    """
    made: dict[str, Request] = {}
    for text in texts:
        if text not in made:
            made[text] = make(text)
    return [made[text] for text in texts]
