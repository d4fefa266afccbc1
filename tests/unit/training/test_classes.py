"""Which labels a file of texts asks for, and reading it by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlapi.training.classes import choose_labels, read_classes
from mlapi.training.data import DataError

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, *labels: str) -> Path:
    """Write a file with one text for each label."""
    lines = ["sentence\tlabel", *(f"text {number}\t{label}" for number, label in enumerate(labels))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("found", "base", "chosen"),
    [
        (("1", "0"), None, ("LABEL_0", "LABEL_1")),
        (("1", "0"), ("NO", "YES"), ("NO", "YES")),
        (("yes", "no"), ("NO", "YES"), ("NO", "YES")),
        (("0", "1", "2"), ("NO", "YES"), ("LABEL_0", "LABEL_1", "LABEL_2")),
        (("no", "yes", "maybe"), ("NO", "YES"), ("maybe", "no", "yes")),
        (("sad", "glad"), None, ("glad", "sad")),
        (("no", "yes"), ("NO", "YES", "MAYBE"), ("no", "yes")),
    ],
)
def test_the_bases_labels_are_kept_where_they_are_the_same(
    tmp_path: Path, found: tuple[str, ...], base: tuple[str, ...] | None, chosen: tuple[str, ...]
) -> None:
    """If this fails, a head is thrown away that fits, or one is kept that tells other labels apart."""
    path = write(tmp_path / "train.tsv", *found)
    assert choose_labels(path, base=base) == chosen
    assert len(read_classes(path, chosen).labels) == len(found)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [(("1", "1"), "at least two labels"), (("0", "2"), "without a gap"), ((), "at least two labels")],
)
def test_labels_that_cannot_be_learnt_are_refused(
    tmp_path: Path, labels: tuple[str, ...], complaint: str
) -> None:
    """If this fails, a model with a label that no text has is trained, or one that always says the same."""
    with pytest.raises(DataError, match=complaint):
        choose_labels(write(tmp_path / "train.tsv", *labels), base=None)


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    """If this fails, unlabelled texts end in a traceback."""
    path = tmp_path / "train.tsv"
    path.write_text("sentence\nfine\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1: expected the header sentence<TAB>label"):
        choose_labels(path, base=None)


def test_a_text_without_a_label_is_named(tmp_path: Path) -> None:
    """If this fails, a text without a label is learnt with some label."""
    with pytest.raises(DataError, match="line 3: the text has no label"):
        read_classes(write(tmp_path / "dev.tsv", "no", "", "yes"), ("no", "yes"))


def test_an_unknown_label_is_named(tmp_path: Path) -> None:
    """If this fails, a label of dev that train does not have counts as another one."""
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: the label is 'other'"):
        read_classes(write(tmp_path / "dev.tsv", "other"), ("no", "yes"))
