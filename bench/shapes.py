"""What one engine call gets: so many texts of so many tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIRST_WORD_ID = 200
"""From here on every id of the vocabulary is a word, whatever the model's size (see `bench.model`)."""

TOKENS_A_TURN = 512
"""Short calls are repeated until a turn has run about so many tokens."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch without padding.

    Attributes:
        texts: Rows.
        tokens: Tokens of each, special tokens included.
    """

    texts: int
    tokens: int

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read `32x128`.

        Raises:
            ValueError: It is not two positive numbers joined by an x.
        """
        texts, _, tokens = text.partition("x")
        shape = cls(int(texts), int(tokens))
        if shape.texts < 1 or shape.tokens < 1:
            raise ValueError(text)
        return shape

    def __str__(self) -> str:
        return f"{self.texts}x{self.tokens}"

    @property
    def repeats(self) -> int:
        """Calls in one turn."""
        return max(1, TOKENS_A_TURN // (self.texts * self.tokens))

    def batch(self, vocabulary: int) -> list[list[int]]:
        """Return token ids, always the same for one shape and vocabulary."""
        generator = np.random.default_rng([self.texts, self.tokens])
        ids = generator.integers(FIRST_WORD_ID, vocabulary, (self.texts, self.tokens))
        rows: list[list[int]] = ids.tolist()
        return rows


def padded_batch(vocabulary: int) -> list[list[int]]:
    """Return eight rows of different lengths, on which engines are compared."""
    generator = np.random.default_rng(0)
    return [generator.integers(FIRST_WORD_ID, vocabulary, 8 * row).tolist() for row in range(1, 9)]
