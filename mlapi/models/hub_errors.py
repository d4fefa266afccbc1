"""What the hub's client raises, in one line that says what to do next."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from mlapi.errors import HubError

UNAUTHORIZED, FORBIDDEN = 401, 403
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def explained(repository: str, revision: str, cache: Path) -> Iterator[None]:
    """Turn the client's errors, and those of the disk, into `HubError`.

    Args:
        repository: What was asked for.
        revision: Branch, tag or commit.
        cache: Where the client keeps its files.
    """
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    # The base of what its HTTP library raises, whichever that is.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # isort: skip

    # Its lines about each attempt to resume would come before ours.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        yield
    except LocalEntryNotFoundError as error:
        # It says that the cache has no such file either; what matters is why the hub was not heard.
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise _meaning(cause, repository, revision, cache) from None
    except HFValidationError:
        raise HubError(
            f"{repository!r} is no repository of a hub; write OWNER/NAME or OWNER/NAME@REVISION"
        ) from None
    except (HTTPError, OSError) as error:
        raise _meaning(error, repository, revision, cache) from None


def room_needed(size: int, folder: Path) -> None:
    """Check that so many bytes fit on the disk of a folder.

    Raises:
        HubError: They do not.
    """
    free = shutil.disk_usage(folder).free
    if size > free:
        raise HubError(
            f"{folder} has {free / 1e6:,.0f} MB free, {size / 1e6:,.0f} MB are needed; make room, or set "
            "HF_HOME to a folder on another disk"
        )


def _meaning(error: Exception, repository: str, revision: str, cache: Path) -> HubError:
    from huggingface_hub.errors import (
        FileMetadataError,
        GatedRepoError,
        HfHubHTTPError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            text = (
                f"{repository} is gated: ask for access on its page, then set HF_TOKEN to a token of that "
                "account"
            )
        case RepositoryNotFoundError():
            text = (
                f"the hub has no {repository}, or it is private: check the name, or set HF_TOKEN to a "
                "token that may read it"
            )
        case RevisionNotFoundError():
            text = f"{repository} has no revision {revision}: name a branch, a tag or a commit of it"
        case HfHubHTTPError() if error.response.status_code in {UNAUTHORIZED, FORBIDDEN}:
            text = (
                f"the hub refuses {repository} (status {error.response.status_code}): set HF_TOKEN to a "
                "token that may read it, or unset one that has expired"
            )
        case HfHubHTTPError():
            text = (
                f"the hub answered {error.response.status_code} for {repository}; run the same command "
                "again later, it goes on where it stopped"
            )
        case OSError(errno=number) if number in FULL:
            text = (
                f"the disk is full ({error.filename or cache}): make room, or set HF_HOME to a folder on "
                "another disk; the same command goes on where it stopped"
            )
        case OSError(errno=int()) if not isinstance(error, FileMetadataError):
            text = f"{error.filename or cache}: {error.strerror}; set HF_HOME to a folder that can be written"
        case _:
            return _unreachable(error)
    return HubError(text)


def _unreachable(error: BaseException) -> HubError:
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))  # no user, no password
    return HubError(
        f"the hub at {address} cannot be reached ({type(error).__name__}): check the network, "
        "HF_ENDPOINT and HTTPS_PROXY; the same command goes on where it stopped"
    )
