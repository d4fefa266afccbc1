"""What the service logs in with and whom it trusts, and what is refused at the start."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from mlapi.cache.access import RedisAccess, UnreadablePassword
from mlapi.cache.address import parse_address
from mlapi.errors import ConfigurationError
from tests.support.certificates import make_authority

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = parse_address("redis://app:from-url@cache")
ENCRYPTED = parse_address("rediss://cache")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the password stands."""
    return tmp_path / "password"


def test_which_password_counts(file: Path) -> None:
    """If it fails, an old password in the address wins over the one that was set apart from it."""
    file.write_text("from-file", encoding="utf-8")
    assert RedisAccess(ADDRESS).login() == ("app", "from-url")
    assert RedisAccess(ADDRESS, password="given").login() == ("app", "given")
    assert RedisAccess(ADDRESS, password_file=file).login() == ("app", "from-file")
    assert RedisAccess(parse_address("cache")).login() == (None, None)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b" two words \n", " two words "),
        (b"hunter2\n\n", "hunter2"),
        (b"hunter2\n\r\n", "hunter2"),
        (b"two\nlines\n", "two\nlines"),
        ("pässword\n".encode(), "pässword"),
    ],
)
def test_line_ends_at_the_end_do_not_count(file: Path, content: bytes, password: str) -> None:
    """If it fails, a file made by an editor, or by a tool that adds nothing, does not let the service in."""
    file.write_bytes(content)
    assert RedisAccess(ADDRESS, password_file=file).login() == ("app", password)


def test_a_new_password_counts_at_once(file: Path) -> None:
    """If it fails, a rotated Secret is taken up by a restart alone."""
    access = RedisAccess(ADDRESS, password_file=file)
    for password in ("old", "new"):
        file.write_text(password, encoding="utf-8")
        assert access.login() == ("app", password)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\r\n\n", "it is empty"),
        (b"\xff\xfe\xfd", "it is not UTF-8"),
        (b"x" * 100_000, "it is too large"),
    ],
)
def test_a_useless_file_is_refused_by_name(file: Path, content: bytes | None, said: str) -> None:
    """If it fails, a missing Secret shows as a cache that is down, and nobody knows what to mend."""
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UnreadablePassword, match=f"MLAPI_REDIS_PASSWORD_FILE: {file} .*{said}"):
        RedisAccess(ADDRESS, password_file=file).check()


def test_the_password_is_not_shown() -> None:
    """If it fails, a logged value holds the password."""
    assert "hunter2" not in repr(RedisAccess(parse_address("redis://:hunter2@cache"), password="hunter2"))


def test_certificates_in_place_of_the_systems(tmp_path: Path) -> None:
    """If it fails, whoever can get a certificate from a public authority can pose as the company's Redis."""
    authority = make_authority(tmp_path / "ca")
    context = RedisAccess(ENCRYPTED, ca_file=authority.ca_file).tls_context()
    (trusted,) = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "mlapi-test"),),)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"", "no certificate"), (b"not PEM", "no certificate")]
)
def test_a_useless_file_of_certificates_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    """If it fails, a wrong path shows as a cache that is down, not as the mistake that it is."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"MLAPI_REDIS_CA_FILE: {file} .*{said}"):
        RedisAccess(ENCRYPTED, ca_file=file).check()


def test_certificates_without_encryption_are_refused(tmp_path: Path) -> None:
    """If it fails, someone who believes that the connection is encrypted is not told that it is not."""
    with pytest.raises(ConfigurationError, match="rediss://"):
        RedisAccess(ADDRESS, ca_file=tmp_path / "ca.pem").check()


def test_without_redis_nothing_is_looked_at(tmp_path: Path) -> None:
    """If it fails, switching Redis off is not enough to start without its files."""
    missing = tmp_path / "missing"
    RedisAccess(parse_address("memory://"), password_file=missing, ca_file=missing).check()


def test_replaced_certificates_are_taken_up(tmp_path: Path) -> None:
    """If it fails, new certificates need a restart, or each connection reads them all again."""
    authorities = [make_authority(tmp_path / name, name=name) for name in ("old", "new")]
    mounted = tmp_path / "ca.pem"
    mounted.symlink_to(authorities[0].ca_file)
    access = RedisAccess(ENCRYPTED, ca_file=mounted)
    first = access.tls_context()
    assert access.tls_context() is first
    mounted.unlink()
    mounted.symlink_to(authorities[1].ca_file)  # as a cluster replaces mounted files
    second = access.tls_context()
    assert second is not first
    assert "new" in str(second.get_ca_certs())
    assert access.tls_context() is second
