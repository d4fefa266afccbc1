"""Digests as a hub names them: the SHA-256 of a large file, git's SHA-1 of a small one."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from mlapi.errors import HubError

SHA1 = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PIECE = 1 << 20
"""Bytes that are read at once."""


def proven_sha256(path: Path, expected: str) -> str | None:
    """Compare a file with a digest of either kind; return its SHA-256, or None where the digest differs."""
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return sha256 if expected == (sha256 if SHA256.fullmatch(expected) else _git_blob(path)) else None


def digest_in(etag: str | None, name: str) -> str:
    """Return the digest that an entity tag is: SHA-256 of a large file, git's SHA-1 of a small one."""
    if etag is None or not (SHA256.fullmatch(etag) or SHA1.fullmatch(etag)):
        raise HubError(
            f"nothing names the digest of {name}, so it cannot be proven; check that HF_ENDPOINT is a hub, "
            "leave HF_HUB_DISABLE_SYMLINKS unset, or run the same command without --offline"
        )
    return etag


def _git_blob(path: Path) -> str:
    """Return git's digest of a file: SHA-1 over a header with its length, then its bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(PIECE):
            digest.update(chunk)
    return digest.hexdigest()
