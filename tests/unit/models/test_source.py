from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlapi.errors import DigestMismatch, ManifestError
from mlapi.models.manifest import Source, file_entry
from mlapi.models.source import HUB_NAME, read_source, write_source

if TYPE_CHECKING:
    from pathlib import Path


def _pulled(directory: Path) -> Source:
    (directory / "config.json").write_bytes(b"{}")
    digest = file_entry(directory / "config.json").sha256
    source = Source(
        repository="someone/model", revision="a" * 40, files={"config.json": digest, "vocab.txt": "b" * 64}
    )
    write_source(directory, source)
    return source


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """If it fails, an exported model does not say where it came from."""
    assert read_source(tmp_path) is None
    assert read_source(tmp_path / "nowhere") is None
    source = _pulled(tmp_path)
    assert read_source(tmp_path) == source


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    """If it fails, weights that someone changed are exported under the hub's name."""
    _pulled(tmp_path)
    (tmp_path / "config.json").write_bytes(b"{ }")
    with pytest.raises(DigestMismatch, match=r"config\.json is not the file that was pulled"):
        read_source(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"repository": "a/b", "revision": "main", "files": {}}'])
def test_a_malformed_record_is_named(tmp_path: Path, content: bytes) -> None:
    """If it fails, a broken hub.json ends in a traceback, or a branch passes for a commit."""
    (tmp_path / HUB_NAME).write_bytes(content)
    with pytest.raises(ManifestError, match=r"hub\.json.*pull the model anew"):
        read_source(tmp_path)


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """If it fails, a folder of that name ends in a traceback."""
    (tmp_path / HUB_NAME).mkdir()
    with pytest.raises(ManifestError, match="cannot be read"):
        read_source(tmp_path)
