"""The deadline that processes share through a file, with a clock that the test sets."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest

from mlapi.gate.deadline import Deadline, begin, join

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    """Stands still until it is set."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the deadline is shared; not there yet."""
    return tmp_path / "deadline"


def test_the_second_has_what_the_first_left(file: Path) -> None:
    """If it fails, the two gates together hold a pod back for longer than was set."""
    clock = Clock(1_000.0)
    begin(30.0, file, clock=clock)
    clock.now += 12.5
    assert join(30.0, file, clock=clock).left() == 17.5


def test_a_new_start_replaces_an_old_deadline(file: Path) -> None:
    """If it fails, a pod that starts again has no time at all to wait in."""
    begin(30.0, file, clock=Clock(1_000.0))
    begin(30.0, file, clock=Clock(5_000.0))
    assert join(30.0, file, clock=Clock(5_010.0)).left() == 20.0
    assert [path.name for path in file.parent.iterdir()] == ["deadline"]


def test_a_deadline_that_has_passed_leaves_nothing(file: Path) -> None:
    """If it fails, waiting goes on after the time is up, or a negative time reaches a socket."""
    begin(30.0, file, clock=Clock(1_000.0))
    assert join(30.0, file, clock=Clock(1_100.0)).left() == 0.0


def test_a_deadline_from_before_the_machine_started_is_no_longer_than_ours(file: Path) -> None:
    """If it fails, a file that survived a restart of the node can hold a pod back for days."""
    begin(30.0, file, clock=Clock(900_000.0))
    assert join(30.0, file, clock=Clock(50.0)).left() == 30.0


@pytest.mark.parametrize("content", [b"", b"soon", b"nan", b"inf", b"\xff\xfe", b"9" * 400])
def test_a_file_of_something_else_gives_the_whole_time(file: Path, content: bytes) -> None:
    """If it fails, whatever lies in that file can keep a pod from starting."""
    file.write_bytes(content)
    assert join(30.0, file, clock=Clock(1_000.0)).left() == 30.0


@pytest.mark.parametrize("kind", ["nothing", "folder"])
def test_no_file_gives_the_whole_time(file: Path, kind: str) -> None:
    """If it fails, `mlapi wait redis` works only where `mlapi wait dns` ran before it."""
    if kind == "folder":
        file.mkdir()
    assert join(30.0, file, clock=Clock(1_000.0)).left() == 30.0
    assert join(30.0, None, clock=Clock(1_000.0)).left() == 30.0


def test_a_file_that_cannot_be_written_is_said_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a volume that is missing or read-only keeps a pod from starting."""
    caplog.set_level(logging.INFO)
    assert begin(30.0, tmp_path / "missing" / "deadline", clock=Clock(1_000.0)).left() == 30.0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "MLAPI_WAIT_DEADLINE_FILE" in caplog.text


def test_real_time_passes() -> None:
    """If it fails, the default clock does not run, and nobody ever gives up."""
    deadline = begin(60.0, None)
    time.sleep(0.01)
    assert 0 < deadline.left() < 60.0
    assert Deadline(time.monotonic() - 1).left() == 0.0
