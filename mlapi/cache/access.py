"""How to get into one Redis: the address, the password or the file that it stands in, and whom to trust.

The service uses it, and so does the gate that waits for Redis before the service starts: what lets the one in
lets the other in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlapi.cache.trust import Trust
from mlapi.errors import ConfigurationError, reason_of

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from mlapi.cache.address import CacheAddress

MAX_PASSWORD_BYTES = 64 * 1024
"""Far more than any password: a file that is larger is the wrong file."""


class UnreadablePassword(ConfigurationError):  # noqa: N818 - the name says what happened
    """The file that should hold the password of Redis cannot be used."""


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """Where Redis is and how to get in.

    Attributes:
        address: Of any kind; for `memory` the rest means nothing.
        password: Comes before the address's own.
        password_file: Holds the password in its stead; comes before the address's own. Read at every login,
            so that a new password needs no restart. Line ends at its end do not count.
        ca_file: Certificates in PEM that alone are trusted to sign Redis's, in place of the system's.
    """

    address: CacheAddress
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None
    _trust: Trust = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make room for what the check reads, so that it need not be read again for the connections."""
        object.__setattr__(self, "_trust", Trust(self.ca_file))

    def check(self) -> None:
        """Read what will be needed, so that a mistake shows at the start and not as a cache that is down.

        Raises:
            ConfigurationError: A file that cannot be used, or that an address without TLS will never use.
        """
        if self.address.kind == "memory":
            return
        self.login()
        if self.address.tls:
            self.tls_context()
        elif self.ca_file is not None:
            raise ConfigurationError(
                f"MLAPI_REDIS_CA_FILE is set, but {self.address.redacted} is not encrypted: write the "
                "address with rediss://, or do without the file"
            )

    def login(self) -> tuple[str | None, str | None]:
        """Return user and password as they are now.

        Raises:
            UnreadablePassword: The password's file is missing, not to be read, empty, or something else.
        """
        password = self.password or self.address.password
        return self.address.username, password if self.password_file is None else _content(self.password_file)

    def tls_context(self) -> ssl.SSLContext:
        """Return what checks the server's certificate and its host name: the same one until the file changes.

        Raises:
            ConfigurationError: There are no certificates in the file.
        """
        return self._trust.context()


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            read = opened.read(MAX_PASSWORD_BYTES + 1)
        password = read.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise _unreadable(
            file, "it is not UTF-8" if isinstance(error, UnicodeError) else reason_of(error)
        ) from None
    if not password or len(read) > MAX_PASSWORD_BYTES:
        raise _unreadable(file, "it is too large to be a password" if password else "it is empty")
    return password


def _unreadable(file: Path, reason: str) -> UnreadablePassword:
    return UnreadablePassword(f"MLAPI_REDIS_PASSWORD_FILE: {file} cannot be used: {reason}")
