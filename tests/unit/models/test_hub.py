"""Names of models, and errors that no stand-in provokes; the rest is in `tests/integration/test_pull.py`."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mlapi.errors import HubError
from mlapi.models.hub import split_reference
from mlapi.models.hub_errors import explained, room_needed

CACHE = Path("/somewhere/cache")


def test_a_reference_has_a_revision_or_not() -> None:
    """If it fails, another revision is pulled than the one that was named."""
    assert split_reference("someone/model") == ("someone/model", None)
    assert split_reference("someone/model@refs/pr/1") == ("someone/model", "refs/pr/1")


@pytest.mark.parametrize("reference", ["", "@main", "someone/model@", "someone/model@../x"])
def test_a_reference_that_names_nothing_is_refused(reference: str) -> None:
    """If it fails, a half-typed name fetches something, or a revision leads out of the cache."""
    with pytest.raises(HubError, match="OWNER/NAME@REVISION"):
        split_reference(reference)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"disk is full .*/somewhere/cache.*HF_HOME"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a/file"), r"disk is full .*/a/file"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/a/file"),
            "file: Permission denied; set HF_HOME",
        ),
        (OSError("Consistency check failed: another size"), r"cannot be reached .*goes on where it stopped"),
        (ConnectionResetError(), "cannot be reached"),
    ],
)
def test_what_the_disk_or_the_network_says_is_one_line(error: OSError, says: str) -> None:
    """If it fails, a full disk or a lost network ends in a traceback, or in advice that does not help."""
    with pytest.raises(HubError, match=says) as caught, explained("a/b", "main", CACHE):
        raise error
    assert "\n" not in str(caught.value)


def test_our_own_errors_go_through() -> None:
    """If it fails, an error that was already explained is explained again, wrongly."""
    with pytest.raises(HubError, match=r"^as it was$"), explained("a/b", "main", CACHE):
        raise HubError("as it was")


def test_room_is_measured(tmp_path: Path) -> None:
    """If it fails, a download starts that cannot end, or one that fits is refused."""
    room_needed(1, tmp_path)
    with pytest.raises(HubError, match=r"MB free.*HF_HOME"):
        room_needed(10**18, tmp_path)


def test_an_address_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, the password of a mirror that HF_ENDPOINT names stands in a terminal or a log."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://me:secret@hub.example:8443/models")
    with (
        pytest.raises(HubError, match=r"at https://hub\.example:8443/models cannot be") as caught,
        explained("a/b", "main", CACHE),
    ):
        raise ConnectionResetError
    assert "secret" not in str(caught.value)
