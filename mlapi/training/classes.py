"""Labelled texts to fine-tune on: which labels there are, and the texts of two files by label id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.training.data import DataError, Dataset, read_lines
from mlapi.training.labelled import FIRST_LINE, HEADERS, read_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FEWEST = 2


def choose_labels(path: Path, *, base: Sequence[str] | None) -> tuple[str, ...]:
    """Return the label names by label id that a file of texts asks for.

    They are the base's where the file has exactly the base's labels, as names in any case or as ids.
    Otherwise they are the file's own: names in alphabetical order, or `LABEL_0`, `LABEL_1`, … for ids.

    Args:
        path: The file that is learnt from.
        base: Labels of the model that is fine-tuned, or None.

    Raises:
        DataError: It cannot be read, has no labels or one only, or its ids leave a gap.
    """
    _, lines = read_lines(path)
    if not lines or lines[0] != HEADERS[-1]:
        raise DataError(f"{path}, line 1: expected the header sentence<TAB>label")
    found = {line.rpartition("\t")[2].strip() for line in lines[1:]} - {""}
    if len(found) < FEWEST:
        raise DataError(f"{path} needs texts of at least two labels")
    if base is not None:
        folded = {word.casefold() for word in found}
        if folded in ({name.casefold() for name in base}, {str(index) for index in range(len(base))}):
            return tuple(base)
    if not all(word.isdecimal() for word in found):
        return tuple(sorted(found))
    if {int(word) for word in found} != set(range(len(found))):
        raise DataError(
            f"{path}: label ids must be 0 to {len(found) - 1} without a gap; number them so, or write names"
        )
    return tuple(f"LABEL_{index}" for index in range(len(found)))


def read_classes(path: Path, labels: Sequence[str]) -> Dataset:
    """Read a file in which every text has one label.

    Args:
        path: The file.
        labels: Label names by label id.

    Raises:
        DataError: It cannot be read, or a line is malformed, has no label, several, or an unknown one.
    """
    texts = read_texts(path, labels)
    texts.check_labels("softmax")
    ids = []
    for line, label in enumerate(texts.labels, start=FIRST_LINE):
        if label is None:
            raise DataError(f"{path}, line {line}: the text has no label; label it, or take it out")
        ids.append(label[0])
    return Dataset(name=texts.name, texts=texts.texts, labels=tuple(ids), sha256=texts.sha256)
