"""Fetching a repository's files through huggingface_hub, into its own cache, and proving them.

Files go where that library keeps them, so what it or transformers fetched before is used, and the other way
round. Downloading itself is done here by the library's own function for it: since its version 2 the library
throws an interrupted download away, and what is to be resumed must lie under a name that is found again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlapi.errors import HubError
from mlapi.models.digests import SHA1, digest_in, proven_sha256
from mlapi.models.hub_bars import Progress, Silent, reporting
from mlapi.models.hub_errors import explained, room_needed
from mlapi.models.manifest import CONFIG_NAME

if TYPE_CHECKING:
    from huggingface_hub import HfFileMetadata

CHUNK = 1 << 20
"""Bytes between two writes: the most that a cut connection costs."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file of a repository, in the cache, with the digest that was proven."""

    name: str
    path: Path
    sha256: str


class HubFiles:
    """The files of one repository at one commit."""

    def __init__(self, repository: str, revision: str | None, *, offline: bool, progress: Progress) -> None:
        """Keep what to fetch; nothing is asked of the hub yet.

        Args:
            repository: Owner and name, such as `distilbert/distilbert-base-uncased`.
            revision: Branch, tag or commit; None is the default branch.
            offline: Whether to take everything from the cache. HF_HUB_OFFLINE says the same.
            progress: Is told of what is downloaded.
        """
        from huggingface_hub import constants

        # Nothing is reported: no library versions and no guesses at the caller in the user agent. Xet's own
        # client talks to servers of its own; plain HTTP gives the same bytes. All three are read at each use.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        constants.HF_HUB_DISABLE_XET = True
        constants.DOWNLOAD_CHUNK_SIZE = CHUNK
        self.repository = repository
        self._revision = revision or constants.DEFAULT_REVISION
        self._offline = offline or constants.HF_HUB_OFFLINE
        self._progress = progress
        self._cache = Path(constants.HF_HUB_CACHE)

    @cached_property
    def commit(self) -> str:
        """The commit that the revision stands for.

        Raises:
            HubError: There is no such repository or revision, or the hub does not say.
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import RemoteEntryNotFoundError

        with explained(self.repository, self._revision, self._cache):
            if not self._offline and not self._known(self._revision, CONFIG_NAME):
                # Asked first, since the library itself would try for half a minute before it gives up.
                with suppress(RemoteEntryNotFoundError):
                    get_hf_file_metadata(hf_hub_url(self.repository, CONFIG_NAME, revision=self._revision))
            path = self._place(CONFIG_NAME, self._revision)
        if path is None:
            raise HubError(f"{self.repository} has no {CONFIG_NAME}: it is no model of transformers")
        return path.parent.name

    def fetch(self, name: str) -> Fetched | None:
        """Bring one file into the cache, unless it is there, and prove it.

        Returns:
            The file, or None where the repository has no such file.

        Raises:
            HubError: The file cannot be had, or is not the one that the hub names.
        """
        from huggingface_hub.errors import RemoteEntryNotFoundError

        with explained(self.repository, self._revision, self._cache):
            if not self._offline and not self._known(self.commit, name):
                # What is not there is asked for once more below, so that the library remembers it.
                with suppress(RemoteEntryNotFoundError):
                    self._download(name)
            path = self._place(name, self.commit)
            return None if path is None else Fetched(name, path, self._prove(name, path))

    def _known(self, revision: str, name: str) -> bool:
        """Tell whether nothing needs to be asked: the file is there, or is known not to exist."""
        from huggingface_hub import try_to_load_from_cache

        if not SHA1.fullmatch(revision):
            return False
        return try_to_load_from_cache(self.repository, name, revision=revision) is not None

    def _place(self, name: str, revision: str) -> Path | None:
        """Let the library link the file into the snapshot, and remember the revision, or that there is none.

        Raises:
            HubError: The cache does not know, and the hub must not be asked.
        """
        from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

        known = try_to_load_from_cache(self.repository, name, revision=revision)
        if known is _CACHED_NO_EXIST and (self._offline or SHA1.fullmatch(revision)):
            return None
        try:
            path = hf_hub_download(
                self.repository,
                name,
                revision=revision,
                local_files_only=self._offline,
                tqdm_class=Silent,
            )
        except RemoteEntryNotFoundError:
            return None
        except LocalEntryNotFoundError:
            if not self._offline:
                raise
            raise HubError(
                f"{name} of {self.repository} at {revision} is not in the cache {self._cache}; run the same "
                "command once without --offline and HF_HUB_OFFLINE"
            ) from None
        return Path(path)

    def _metadata(self, name: str) -> HfFileMetadata:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        return get_hf_file_metadata(hf_hub_url(self.repository, name, revision=self.commit))

    def _download(self, name: str) -> None:
        """Put a file among the cache's blobs, going on from what an earlier attempt left."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get, repo_folder_name
        from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]

        metadata = self._metadata(name)
        folder = repo_folder_name(repo_id=self.repository, repo_type="model")
        blob = self._cache / folder / "blobs" / digest_in(metadata.etag, name)
        lock = self._cache / ".locks" / folder / f"{blob.name}.lock"
        for parent in (blob.parent, lock.parent):
            parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if blob.exists():
                return
            partial = blob.with_name(f"{blob.name}.mlapi.incomplete")
            done = partial.stat().st_size if partial.exists() else 0
            if metadata.size is not None and done > metadata.size:
                partial.unlink()
                done = 0
            room_needed((metadata.size or 0) - done, blob.parent)
            self._progress.begin(name, total=metadata.size, done=done)
            with partial.open("ab") as stream:
                http_get(
                    # Not the address that the metadata name: where a redirect leads off the hub, the client
                    # leaves the token behind.
                    hf_hub_url(self.repository, name, revision=self.commit),
                    stream,
                    resume_size=done,
                    headers={**build_hf_headers(), "Accept-Encoding": "identity"},
                    expected_size=metadata.size,
                    displayed_filename=name,
                    tqdm_class=reporting(self._progress.advance),
                )
            partial.replace(blob)

    def _prove(self, name: str, path: Path) -> str:
        """Compare a file with the digest that the hub gave for it, and return its SHA-256.

        The cache calls each blob by that digest, so what is there can be proven without the hub.
        """
        expected = path.readlink().name if path.is_symlink() else ""
        if not expected and not self._offline:
            expected = self._metadata(name).etag or ""
        expected = digest_in(expected, name)
        sha256 = proven_sha256(path, expected)
        if sha256 is None:
            # Out of the cache, where every later attempt, and every other program, would find it.
            for place in (path.resolve(), path):
                place.unlink(missing_ok=True)
            raise HubError(
                f"{name} of {self.repository} is not the file that the hub names: its digest is not "
                f"{expected[:12]}…; it was deleted from the cache, so run the same command again"
            )
        return sha256
