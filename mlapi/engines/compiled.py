"""Compiled graphs on disk, so that a start need not compile what an earlier one did.

What lies there is trusted as the model itself is: the directory must be writable by the service alone. A
file that another user owns or may write is not read. Each begins with the SHA-256 of the rest, so that one
that is cut off or damaged never reaches the runtime. Its name is a digest of the graph's contents and of what
compiled it (runtime, CPU, options), so that another model, version or machine does not find it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

SUFFIX = ".compiled"
DIGEST_BYTES = 32


class CompiledCache:
    """The place of one compiled graph. Nothing here raises: what cannot be read or kept is compiled again.

    The first thing that goes wrong is logged, as a warning; what follows from it is not.
    """

    def __init__(self, directory: Path, *, graph: Path, made_by: str) -> None:
        """Work out the file's name.

        Args:
            directory: Where compiled graphs lie; made if absent.
            graph: The file that is compiled.
            made_by: Whatever else decides the outcome: versions, CPU, options.

        Raises:
            OSError: The graph cannot be read.
        """
        with graph.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
        digest.update(made_by.encode())
        self.path = directory / f"{digest.hexdigest()[:32]}{SUFFIX}"
        self._warned = False

    def read(self) -> bytes | None:
        """Return what was compiled earlier, or None where there is nothing that can be used."""
        try:
            with open(self.path, "rb", opener=_at_once) as stream:
                if not _trustworthy(os.fstat(stream.fileno())):
                    self._warn(
                        "is no plain file, belongs to, or can be written by, another user, and is not used"
                    )
                    return None
                digest, blob = stream.read(DIGEST_BYTES), stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._warn(f"cannot be read ({error.strerror})")
            return None
        if hashlib.sha256(blob).digest() != digest:
            self._warn("is damaged and will be made anew")
            return None
        return blob

    def distrust(self, error: Exception) -> None:
        """Note that the runtime did not take what `read` gave."""
        self._warn(f"is not taken by the runtime ({type(error).__name__}) and will be made anew")

    def write(self, export: Callable[[], BinaryIO]) -> None:
        """Keep what was compiled, in one rename.

        Args:
            export: Gives it, from its beginning.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        except OSError as error:
            self._warn(f"cannot be written ({error.strerror})")
            return
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                blob = export().read()
                stream.write(hashlib.sha256(blob).digest())
                stream.write(blob)
            partial.replace(self.path)
        except OSError as error:
            self._warn(f"cannot be written ({error.strerror})")
            with suppress(OSError):
                partial.unlink()

    def _warn(self, what: str) -> None:
        if not self._warned:
            logger.warning("compiled model %s %s; check MLAPI_COMPILED_CACHE", self.path, what)
        self._warned = True


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe in its place, for whose writer one would wait, is opened without waiting."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _trustworthy(status: os.stat_result) -> bool:
    """Tell whether it is a plain file that only this user, or root, can have written."""
    own = not hasattr(os, "geteuid") or status.st_uid in {os.geteuid(), 0}
    return own and stat.S_ISREG(status.st_mode) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
