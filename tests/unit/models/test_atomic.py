"""Directories and files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlapi.errors import ConfigurationError
from mlapi.models.atomic import fresh_directory, write_atomically


def fill(directory: Path, content: str) -> None:
    """Put a manifest into a directory."""
    (directory / "manifest.json").write_text(content, encoding="utf-8")


def test_a_directory_appears_when_it_is_whole(tmp_path: Path) -> None:
    """If this fails, a half-written model can be loaded."""
    out = tmp_path / "models" / "new"
    with fresh_directory(out) as partial:
        fill(partial, "first")
        assert not out.exists()
    assert (out / "manifest.json").read_text(encoding="utf-8") == "first"
    assert [path.name for path in out.parent.iterdir()] == ["new"]
    assert (out.stat().st_mode & 0o777, (out / "manifest.json").stat().st_mode & 0o777) == (0o755, 0o644)


def test_an_old_model_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """If this fails, a training run that fails at its end destroys the model that was there."""
    out = tmp_path / "model"
    with fresh_directory(out) as partial:
        fill(partial, "old")
    with pytest.raises(FileNotFoundError), fresh_directory(out) as partial:
        fill(partial / "nowhere", "new")
    assert (out / "manifest.json").read_text(encoding="utf-8") == "old"
    with fresh_directory(out) as partial:
        fill(partial, "new")
    assert (out / "manifest.json").read_text(encoding="utf-8") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_no_model_is_not_overwritten(tmp_path: Path) -> None:
    """If this fails, a wrong --out deletes someone's files."""
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").touch()
    (tmp_path / "file").touch()
    for name in ("letters", "file"):
        with (
            pytest.raises(ConfigurationError, match="not a model directory"),
            fresh_directory(tmp_path / name),
        ):
            pytest.fail("the block must not run")
    assert (tmp_path / "letters" / "dear.txt").exists()


def test_a_pulled_directory_is_replaced(tmp_path: Path) -> None:
    """If this fails, a model that was pulled cannot be pulled again, or exported over."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "hub.json").touch()
    with fresh_directory(tmp_path / "out") as partial:
        fill(partial, "new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.json"]


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    """If this fails, a directory that the user made beforehand is refused."""
    (tmp_path / "out").mkdir()
    with fresh_directory(tmp_path / "out") as partial:
        fill(partial, "new")
    assert (tmp_path / "out" / "manifest.json").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """If this fails, a path below a file ends in a traceback."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="cannot be written"),
        fresh_directory(tmp_path / "file" / "out"),
    ):
        pytest.fail("the block must not run")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """If this fails, a checkpoint can be half of one and half of another."""
    path = tmp_path / "state"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [".", "inner/.."])
def test_the_current_folder_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """If this fails, `--out .` does all the work and then ends with "Device or resource busy"."""
    out = tmp_path / "out"
    (out / "inner").mkdir(parents=True)
    fill(out, "old")
    monkeypatch.chdir(out)
    with fresh_directory(Path(name)) as partial:
        fill(partial, "new")
    assert (out / "manifest.json").read_text(encoding="utf-8") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
