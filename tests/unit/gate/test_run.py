"""What waiting leaves behind: lines in the log, and the container's last words."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from mlapi.gate.attempts import NotYet
from mlapi.gate.deadline import Deadline
from mlapi.gate.run import MAX_MESSAGE_BYTES, leave_word, wait_for

if TYPE_CHECKING:
    from pathlib import Path

OVER = Deadline(0.0, clock=lambda: 1.0)


def _fail(_seconds: float) -> None:
    raise NotYet("it is loading its data")


@pytest.fixture
def last_words(tmp_path: Path) -> Path:
    """The file that Kubernetes mounts, with what an earlier run left in it."""
    file = tmp_path / "termination-log"
    file.write_text("something old and long, " * 20, encoding="utf-8")
    return file


def test_giving_up_is_one_line_and_the_last_words(last_words: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, nobody is told that a pod started without its cache, or is told so many times."""
    caplog.set_level(logging.DEBUG)
    wait_for("Redis answers", _fail, OVER, termination_log=last_words)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "until Redis answers: it is loading its data; the service starts uncached" in record.getMessage()
    assert last_words.read_text(encoding="utf-8") == record.getMessage()


def test_success_is_one_line_and_no_last_words(last_words: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, a pod that started well is shown as one that did not."""
    caplog.set_level(logging.DEBUG)
    before = last_words.read_bytes()
    wait_for("Redis answers", lambda _seconds: None, OVER, termination_log=last_words)
    assert [(record.levelname, record.args and record.args[0]) for record in caplog.records] == [  # type: ignore[index]
        ("INFO", "Redis answers")
    ]
    assert last_words.read_bytes() == before


def test_no_file_is_made(tmp_path: Path) -> None:
    """If it fails, a developer who tries the command finds files in /dev."""
    leave_word("gave up", tmp_path / "termination-log")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    """If it fails, a container without the usual file, or with a folder there, ends with an error."""
    leave_word("gave up", tmp_path)
    leave_word("gave up", tmp_path / "missing" / "termination-log")


def test_long_words_are_cut(last_words: Path) -> None:
    """If it fails, Kubernetes cuts the message itself, and may refuse it."""
    leave_word("x" * 10_000, last_words)
    assert last_words.read_bytes() == b"x" * MAX_MESSAGE_BYTES
