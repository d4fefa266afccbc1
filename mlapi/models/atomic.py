"""Making a directory so that it is either whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlapi.errors import ConfigurationError
from mlapi.models.manifest import MANIFEST_NAME
from mlapi.models.source import HUB_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def fresh_directory(out: Path) -> Iterator[Path]:
    """Give a temporary directory beside `out` that takes its place when the block ends well.

    A process that is killed inside the block leaves `out` as it was, and at most a hidden directory
    `.NAME.partial-…` beside it, which nothing reads.

    Args:
        out: The directory to make or to replace.

    Raises:
        ConfigurationError: `out` is there and is not a model directory, or cannot be written.
    """
    check_replaceable(out)
    if out.name in {"", ".."}:  # `.` has neither a name nor a parent to make something in
        out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}; choose another --out") from None
    try:
        yield partial
        _open_up(partial)
        _swap(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_replaceable(out: Path) -> None:
    """Refuse to overwrite what is not a model directory.

    Raises:
        ConfigurationError: `out` holds something, and neither a manifest nor what a pull leaves.
    """
    marks = (MANIFEST_NAME, HUB_NAME)
    if out.is_dir() and (any((out / mark).is_file() for mark in marks) or not any(out.iterdir())):
        return
    if out.exists():
        raise ConfigurationError(
            f"{out} is there and is not a model directory (no {' or '.join(marks)}); choose another --out"
        )


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file by way of a temporary one, synced to disk: a kill leaves the old or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _open_up(directory: Path) -> None:
    """Let everyone read: temporary directories, and files of some libraries, are their owner's alone."""
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _swap(partial: Path, out: Path) -> None:
    """Put `partial` in the place of `out`; between the two renames `out` is absent, never half there."""
    if not out.exists():
        partial.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
    out.rename(old / out.name)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)
