"""Reading labelled texts: tab-separated files with the header `sentence<TAB>label`, label 0 or 1."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlapi.errors import MlapiError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "sentence\tlabel"
SPLITS = ("train.tsv", "dev.tsv", "test.tsv")
ID2LABEL = {0: "NEGATIVE", 1: "POSITIVE"}


class DataError(MlapiError):
    """A data file is missing or malformed. The message names the file and the line."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """One file of labelled texts.

    Attributes:
        name: The file's name, without its folder.
        texts: The texts, stripped of white space at both ends.
        labels: 0 (negative) or 1 (positive) for each text.
        sha256: Digest of the file, in hexadecimal digits.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class Splits:
    """The three files of a data folder: learnt from, chosen on, and reported once."""

    train: Dataset
    dev: Dataset
    test: Dataset

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each file, by name."""
        return {split.name: split.sha256 for split in (self.train, self.dev, self.test)}


def read_splits(directory: Path) -> Splits:
    """Read `train.tsv`, `dev.tsv` and `test.tsv`.

    Raises:
        DataError: The folder or one of the files is missing, or a line is malformed.
    """
    missing = [name for name in SPLITS if not (directory / name).is_file()]
    if missing:
        raise DataError(
            f"{directory} has no {', '.join(missing)}: --data takes a folder with {', '.join(SPLITS)}, "
            "each with the header sentence<TAB>label and one text with its label, 0 or 1, a line"
        )
    return Splits(*(read_dataset(directory / name) for name in SPLITS))


def read_dataset(path: Path) -> Dataset:
    """Read one file.

    Raises:
        DataError: It cannot be read, is not UTF-8, has another header, a malformed line, or texts of one
            label only.
    """
    raw, lines = read_lines(path)
    if not lines or lines[0] != HEADER:
        raise DataError(f"{path}, line 1: expected the header sentence<TAB>label")
    rows = [_row(path, number, line) for number, line in enumerate(lines[1:], start=2)]
    labels = tuple(label for _, label in rows)
    if set(labels) != set(ID2LABEL):
        raise DataError(f"{path} needs texts of both labels, 0 and 1")
    return Dataset(
        name=path.name,
        texts=tuple(text for text, _ in rows),
        labels=labels,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def read_lines(path: Path) -> tuple[bytes, list[str]]:
    """Read a text file: its bytes, and its lines without line ends and byte order mark.

    Only a line feed ends a line, with or without a carriage return before it.

    Raises:
        DataError: It cannot be read, or a line is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return raw, decode_lines(raw, name=str(path))


def decode_lines(raw: bytes, *, name: str) -> list[str]:
    """Split the bytes of a text file into lines, as `read_lines` does.

    Args:
        raw: The file's contents.
        name: What the error calls the file.

    Raises:
        DataError: A line is not UTF-8.
    """
    parts = raw.removeprefix(codecs.BOM_UTF8).split(b"\n")
    if not parts[-1]:
        parts.pop()
    lines = []
    for number, part in enumerate(parts, start=1):
        try:
            lines.append(part.removesuffix(b"\r").decode())
        except UnicodeDecodeError:
            raise DataError(f"{name}, line {number}: not UTF-8") from None
    return lines


def _row(path: Path, number: int, line: str) -> tuple[str, int]:
    text, *fields = line.split("\t")
    if len(fields) != 1:
        raise DataError(f"{path}, line {number}: expected one text, one tab and one label")
    if fields[0] not in {"0", "1"}:
        raise DataError(f"{path}, line {number}: the label is {fields[0]!r}, expected 0 or 1")
    if not text.strip():
        raise DataError(f"{path}, line {number}: the text is empty")
    return text.strip(), int(fields[0])
