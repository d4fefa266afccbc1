"""Reading labelled texts, and saying what is wrong with them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from mlapi.training.data import DataError, read_dataset, read_splits
from tests.support.labelled_texts import write_splits

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b"sentence\tlabel\na fine day \t1\nrain again\t0\n"


def test_texts_labels_and_digest_are_read(tmp_path: Path) -> None:
    """If this fails, the model learns from other texts than those in the file, or records another digest."""
    path = tmp_path / "train.tsv"
    path.write_bytes(GOOD)
    dataset = read_dataset(path)
    assert dataset.name == "train.tsv"
    assert dataset.texts == ("a fine day", "rain again")
    assert dataset.labels == (1, 0)
    assert dataset.sha256 == hashlib.sha256(GOOD).hexdigest()


@pytest.mark.parametrize(
    "raw",
    [GOOD.replace(b"\n", b"\r\n"), GOOD.removesuffix(b"\n"), b"\xef\xbb\xbf" + GOOD],
    ids=["CRLF", "no last line break", "byte order mark"],
)
def test_files_as_other_programs_write_them_are_read_alike(tmp_path: Path, raw: bytes) -> None:
    """If this fails, a file saved on another system is refused or gets stray characters into its texts."""
    path = tmp_path / "train.tsv"
    path.write_bytes(raw)
    dataset = read_dataset(path)
    assert dataset.texts == ("a fine day", "rain again")
    assert dataset.labels == (1, 0)


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    """If this fails, a text with an exotic line separator is torn in two."""
    path = tmp_path / "train.tsv"
    path.write_text("sentence\tlabel\none\u2028two\x85three\t1\nno\t0\n", encoding="utf-8")
    assert read_dataset(path).texts == ("one\u2028two\x85three", "no")


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", r"line 1: expected the header"),
        (b"text\tlabel\na\t1\n", r"line 1: expected the header"),
        (GOOD + b"no label\n", r"line 4: expected one text, one tab and one label"),
        (GOOD + b"too\tmany\t1\n", r"line 4: expected one text, one tab and one label"),
        (GOOD + b"\n", r"line 4: expected one text, one tab and one label"),
        (GOOD + b"what\t2\n", r"line 4: the label is '2', expected 0 or 1"),
        (GOOD + b"what\t\n", r"line 4: the label is '', expected 0 or 1"),
        (GOOD + b" \t1\n", r"line 4: the text is empty"),
        (GOOD + b"caf\xe9\t1\n", r"line 4: not UTF-8"),
        (b"sentence\tlabel\n", r"needs texts of both labels"),
        (b"sentence\tlabel\nfine\t1\n", r"needs texts of both labels"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, raw: bytes, complaint: str) -> None:
    """If this fails, the user is not told which line to mend, or a bad line is learnt from."""
    path = tmp_path / "train.tsv"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=rf"train\.tsv.*{complaint}"):
        read_dataset(path)


def test_a_folder_with_the_three_files_is_read(tmp_path: Path) -> None:
    """If this fails, train, dev and test are missing or swapped."""
    splits = read_splits(write_splits(tmp_path))
    assert [split.name for split in (splits.train, splits.dev, splits.test)] == list(splits.digests)
    assert (len(splits.train.texts), len(splits.dev.texts), len(splits.test.texts)) == (192, 12, 12)
    assert not set(splits.train.texts) & {*splits.dev.texts, *splits.test.texts}


def test_missing_files_are_named_with_the_expected_form(tmp_path: Path) -> None:
    """If this fails, the user does not learn what --data takes."""
    write_splits(tmp_path)
    (tmp_path / "dev.tsv").unlink()
    with pytest.raises(DataError, match=r"has no dev\.tsv: .*sentence<TAB>label"):
        read_splits(tmp_path)
    with pytest.raises(DataError, match=r"has no train\.tsv, dev\.tsv, test\.tsv"):
        read_splits(tmp_path / "nowhere")


def test_a_file_that_cannot_be_read_is_an_error_of_the_users(tmp_path: Path) -> None:
    """If this fails, a folder in the place of a file ends in a traceback."""
    with pytest.raises(DataError, match="cannot be read"):
        read_dataset(tmp_path)
