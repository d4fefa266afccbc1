from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from mlapi.engines.compiled import CompiledCache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Return a file that stands for a graph."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"graph")
    return path


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def _kept(directory: Path, graph: Path, *, made_by: str = "runtime 1") -> CompiledCache:
    cache = CompiledCache(directory, graph=graph, made_by=made_by)
    cache.write(lambda: io.BytesIO(b"compiled"))
    return cache


def test_what_was_written_is_read(tmp_path: Path, graph: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, every start compiles."""
    directory = tmp_path / "not" / "yet" / "there"
    assert CompiledCache(directory, graph=graph, made_by="runtime 1").read() is None
    _kept(directory, graph)
    assert CompiledCache(directory, graph=graph, made_by="runtime 1").read() == b"compiled"
    assert len(list(directory.iterdir())) == 1
    assert not _messages(caplog)


def test_others_can_neither_write_nor_read_it(tmp_path: Path, graph: Path) -> None:
    """If it fails, another user of the machine decides what the service computes."""
    cache = _kept(tmp_path / "cache", graph)
    assert cache.path.stat().st_mode & 0o777 == 0o600
    assert cache.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_file_that_others_can_write_is_not_used(
    tmp_path: Path, graph: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, what another user has put there is run."""
    cache = _kept(tmp_path / "cache", graph)
    cache.path.chmod(mode)
    assert cache.read() is None
    assert "can be written by, another user" in _messages(caplog)[0]


def test_file_of_another_user_is_not_used(
    tmp_path: Path, graph: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a directory that everyone may write to hands the service to everyone."""
    cache = _kept(tmp_path / "cache", graph)
    owner = cache.path.stat().st_uid
    if owner == 0:
        os.chown(cache.path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert cache.read() is None
    assert "belongs to" in _messages(caplog)[0]


def test_a_pipe_in_its_place_does_not_hold_the_start(
    tmp_path: Path, graph: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, whoever may write to the directory can keep the service from starting."""
    cache = CompiledCache(tmp_path, graph=graph, made_by="runtime 1")
    os.mkfifo(cache.path, mode=0o600)
    assert cache.read() is None
    assert "is no plain file" in _messages(caplog)[0]


def test_other_graph_version_or_machine_does_not_find_it(tmp_path: Path, graph: Path) -> None:
    """If it fails, an upgrade or a new model runs what was compiled for the old one."""
    cache = _kept(tmp_path / "cache", graph)
    assert CompiledCache(tmp_path / "cache", graph=graph, made_by="runtime 2").read() is None
    graph.write_bytes(b"another graph")
    other = CompiledCache(tmp_path / "cache", graph=graph, made_by="runtime 1")
    assert other.path != cache.path
    assert other.read() is None


def test_damage_is_noticed_and_said_once(
    tmp_path: Path, graph: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, bytes that nobody wrote reach the runtime, or the log repeats itself."""
    cache = _kept(tmp_path / "cache", graph)
    cache.path.write_bytes(cache.path.read_bytes()[:-1])
    assert cache.read() is None
    assert cache.read() is None
    (message,) = _messages(caplog)
    assert message == (
        f"compiled model {cache.path} is damaged and will be made anew; check MLAPI_COMPILED_CACHE"
    )


def test_directory_that_cannot_be_made_is_survived(
    tmp_path: Path, graph: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a wrong MLAPI_COMPILED_CACHE stops the service."""
    (tmp_path / "file").write_text("", encoding="ascii")
    cache = _kept(tmp_path / "file" / "cache", graph)
    assert cache.read() is None
    (message,) = _messages(caplog)
    assert "cannot be written (" in message


def test_unwritable_directory_is_survived(
    tmp_path: Path, graph: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a read-only file system stops the service."""
    directory = tmp_path / "cache"
    directory.mkdir()
    # Root may write anywhere but where the name is too long.
    cache = CompiledCache(directory, graph=graph, made_by="runtime 1")
    cache.path = directory / ("x" * 300)
    cache.write(lambda: io.BytesIO(b"compiled"))
    assert list(directory.iterdir()) == []
    (message,) = _messages(caplog)
    assert "cannot be written (" in message


def test_full_disk_leaves_nothing_behind(
    tmp_path: Path, graph: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a full disk stops the service, or is filled by halves of files."""

    def export() -> io.BytesIO:
        raise OSError(28, "No space left on device")

    directory = tmp_path / "cache"
    CompiledCache(directory, graph=graph, made_by="runtime 1").write(export)
    assert list(directory.iterdir()) == []
    (message,) = _messages(caplog)
    assert "cannot be written (No space left on device)" in message


def test_unreadable_file_is_survived(tmp_path: Path, graph: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, something odd in the cache directory stops the service."""
    cache = CompiledCache(tmp_path / "cache", graph=graph, made_by="runtime 1")
    cache.path.mkdir(parents=True)
    assert cache.read() is None
    cache.write(lambda: io.BytesIO(b"compiled"))
    (message,) = _messages(caplog)
    assert "cannot be read (Is a directory)" in message
