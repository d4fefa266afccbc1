"""Texts to judge a model by: tab-separated files, labelled or not, and the two sets that ship with us."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

from mlapi.training.data import DataError, decode_lines, read_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlapi.types import Activation

HEADERS = ("sentence", "sentence\tlabel")
FIRST_LINE = 2
"""The line of the first text; every line after it is one text more."""

NONE = "-"
"""In place of a label: none of them applies, which models with sigmoid can say."""

SENTIMENTS = ("NEGATIVE", "POSITIVE")
"""The labels of the shipped sets."""


@dataclass(frozen=True, slots=True)
class TextSet:
    """One file of texts, labelled or not.

    Attributes:
        name: The file's name, without its folder.
        texts: The texts, stripped of white space at both ends.
        labels: Of each text its label ids: one for models whose labels exclude each other, any number for
            others; None for a text without a label.
        sha256: Digest of the file, in hexadecimal digits.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[tuple[int, ...] | None, ...]
    sha256: str

    @property
    def labelled(self) -> int:
        """How many texts have a label."""
        return sum(label is not None for label in self.labels)

    def check_labels(self, activation: Activation) -> None:
        """Check that every label is one that the model can give.

        Raises:
            DataError: A text has several labels, or none of them, and the model always gives one.
        """
        for line, label in enumerate(self.labels, start=FIRST_LINE):
            if activation == "softmax" and label is not None and len(label) != 1:
                raise DataError(
                    f"{self.name}, line {line}: {len(label)} labels, but this model's labels exclude each "
                    "other; give one, or leave the field empty"
                )


def read_texts(path: Path, labels: Sequence[str]) -> TextSet:
    """Read a file with the header `sentence<TAB>label`, or `sentence` alone.

    A label is a label id or a label's name, in any case; names alone where a name is itself a number. Several
    are joined by commas, `-` says that none applies, and an empty field that the text is not labelled.

    Args:
        path: The file, in UTF-8.
        labels: The model's label names by label id.

    Raises:
        DataError: It cannot be read, is not UTF-8, has another header, no texts, or a malformed line. Names
            the file and the line, and never quotes the text.
    """
    raw, lines = read_lines(path)
    return _parse(raw, lines, labels, place=str(path), name=path.name)


def shipped(name: Literal["calibration", "gate"], labels: Sequence[str]) -> TextSet:
    """Return one of the two sets that were written for this project.

    Args:
        name: Which of the two.
        labels: The model's label names by label id. Where they do not name both sentiments (NEGATIVE and
            POSITIVE, in any case) the texts count as unlabelled: who knows what LABEL_1 means?
    """
    file = f"{name}.tsv"
    raw = files("mlapi.training").joinpath("texts", file).read_bytes()
    texts = _parse(raw, decode_lines(raw, name=file), SENTIMENTS, place=file, name=file)
    known = [label.casefold() for label in labels]
    if not {sentiment.casefold() for sentiment in SENTIMENTS} <= set(known):
        meant: tuple[tuple[int, ...] | None, ...] = (None,) * len(texts.texts)
    else:
        ids = [known.index(sentiment.casefold()) for sentiment in SENTIMENTS]
        meant = tuple(
            None if label is None else tuple(ids[index] for index in label) for label in texts.labels
        )
    return TextSet(name=file, texts=texts.texts, labels=meant, sha256=texts.sha256)


def _parse(raw: bytes, lines: Sequence[str], labels: Sequence[str], *, place: str, name: str) -> TextSet:
    if not lines or lines[0] not in HEADERS:
        raise DataError(f"{place}, line 1: expected the header sentence<TAB>label, or sentence alone")
    if len(lines) == 1:
        raise DataError(f"{place} has no texts below its header")
    fields = lines[0].count("\t") + 1
    known = _names(labels)
    rows = [
        _row(line, fields, known, len(labels), place=f"{place}, line {number}")
        for number, line in enumerate(lines[1:], start=FIRST_LINE)
    ]
    return TextSet(
        name=name,
        texts=tuple(text for text, _ in rows),
        labels=tuple(label for _, label in rows),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _row(
    line: str, fields: int, known: Mapping[str, int], labels: int, *, place: str
) -> tuple[str, tuple[int, ...] | None]:
    text, *rest = line.split("\t")
    if len(rest) != fields - 1:
        raise DataError(
            f"{place}: expected {'one text, one tab and one label' if fields > 1 else 'one text'}"
        )
    if not text.strip():
        raise DataError(f"{place}: the text is empty")
    label = rest[0].strip() if rest else ""
    if not label:
        return text.strip(), None
    if label == NONE and NONE not in known:
        return text.strip(), ()
    whole = _label(label, known)
    found = [whole] if whole is not None else [_label(part.strip(), known) for part in label.split(",")]
    ids = [index for index in found if index is not None]
    if len(ids) != len(found):
        names = ", ".join(list(known)[:labels][:8])
        raise DataError(f"{place}: the label is {label[:40]!r}, expected one of {names} or a label id")
    return text.strip(), tuple(sorted(set(ids)))


def _names(labels: Sequence[str]) -> dict[str, int]:
    """Map what a file may call a label to its id: the names first, in order, as the model writes them."""
    known = {label: index for index, label in enumerate(labels)}
    folded = [label.casefold() for label in labels]
    for index, label in enumerate(folded):
        if folded.count(label) == 1:
            known.setdefault(label, index)
    if not any(label.strip().isdecimal() for label in labels):
        known.update({str(index): index for index in range(len(labels))})
    return known


def _label(word: str, known: Mapping[str, int]) -> int | None:
    return known.get(word, known.get(word.casefold()))
