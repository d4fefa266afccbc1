"""Reading files of texts to judge a model by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlapi.training.data import DataError
from mlapi.training.labelled import read_texts

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("NEGATIVE", "POSITIVE")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the texts are written."""
    return tmp_path / "texts.tsv"


def test_labels_are_ids_or_names_in_any_case(file: Path) -> None:
    """If it fails, files with labels as people write them are refused, or read as the wrong ones."""
    file.write_text("sentence\tlabel\none\t0\ntwo\tpositive\nthree\tNEGATIVE\nfour\t\n", encoding="utf-8")
    read = read_texts(file, LABELS)
    assert read.texts == ("one", "two", "three", "four")
    assert read.labels == ((0,), (1,), (0,), None)
    assert (read.name, read.labelled) == ("texts.tsv", 3)


def test_texts_alone_are_unlabelled(file: Path) -> None:
    """If it fails, a gate of one's own texts needs labels that nobody has."""
    file.write_text("sentence\none\n two \n", encoding="utf-8")
    assert read_texts(file, LABELS).texts == ("one", "two")
    assert read_texts(file, LABELS).labels == (None, None)


def test_several_labels_are_joined_by_commas(file: Path) -> None:
    """If it fails, models whose labels do not exclude each other cannot be evaluated."""
    file.write_text("sentence\tlabel\none\tangry,2\ntwo\t-\n", encoding="utf-8")
    read = read_texts(file, ("glad", "angry", "tired"))
    assert read.labels == ((1, 2), ())
    read.check_labels("sigmoid")
    with pytest.raises(DataError, match=r"texts\.tsv, line 2: 2 labels"):
        read.check_labels("softmax")


def test_names_that_are_numbers_are_names(file: Path) -> None:
    """If it fails, a model whose labels are called 1 to 5 is judged by the label beside the right one."""
    file.write_text("sentence\tlabel\none\t1\n", encoding="utf-8")
    assert read_texts(file, ("1", "2")).labels == ((0,),)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("text\tlabel\na\t0\n", "line 1: expected the header"),
        ("", "line 1: expected the header"),
        ("sentence\tlabel\n", "has no texts below its header"),
        ("sentence\tlabel\na\t0\nsecret words\n", "line 3: expected one text, one tab and one label"),
        ("sentence\tlabel\nsecret words\t0\t1\n", "line 2: expected one text, one tab and one label"),
        ("sentence\nsecret words\t1\n", "line 2: expected one text"),
        ("sentence\tlabel\n \t0\n", "line 2: the text is empty"),
        (
            "sentence\tlabel\nsecret words\tmaybe\n",
            "line 2: the label is 'maybe', expected one of NEGATIVE, ",
        ),
        (
            "sentence\tlabel\nsecret words\t2\n",
            "line 2: the label is '2', expected one of NEGATIVE, POSITIVE",
        ),
    ],
)
def test_malformed_files_are_refused_by_line(file: Path, content: str, complaint: str) -> None:
    """If it fails, a slip in a file is read as something else, or the message quotes a text."""
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_texts(file, LABELS)
    assert complaint in str(caught.value)
    assert str(file) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_file_that_is_no_text_is_refused(file: Path) -> None:
    """If it fails, a spreadsheet in another encoding ends in a traceback."""
    with pytest.raises(DataError, match="cannot be read"):
        read_texts(file, LABELS)
    file.write_bytes(b"sentence\tlabel\nna\xefve\t0\n")
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        read_texts(file, LABELS)
