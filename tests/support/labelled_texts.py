"""A small labelled data set in our own words, large enough to learn something from."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PRAISE = ("lovely", "bright", "warm", "clever", "moving", "fresh")
BLAME = ("dull", "clumsy", "cold", "hollow", "tired", "noisy")
THINGS = ("film", "story", "cast", "song", "ending", "first hour")
FRAMES = ("the {thing} is {word} .", "what a {word} {thing}", "it does n't feel {word} at all , this {thing}")


def write_splits(directory: Path) -> Path:
    """Write `train.tsv`, `dev.tsv` and `test.tsv` of 192, 12 and 12 texts, half of them positive.

    In the last frame the word is denied, so that its label is the other one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rows = [
        (frame.format(thing=thing, word=word), int(positive != frame.startswith("it does")))
        for frame, thing, (words, positive) in product(FRAMES, THINGS, ((PRAISE, True), (BLAME, False)))
        for word in words
    ]
    for name, kept in (
        ("dev.tsv", rows[3::18]),
        ("test.tsv", rows[8::18]),
        ("train.tsv", [row for place, row in enumerate(rows) if place % 18 not in {3, 8}]),
    ):
        write_split(directory / name, kept)
    return directory


def write_split(path: Path, rows: Iterable[tuple[str, int]]) -> None:
    """Write one file of labelled texts."""
    lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
