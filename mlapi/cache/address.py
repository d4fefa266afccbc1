"""Where the cache is: reads `REDIS_URL` in the spellings that people use."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote

from mlapi.errors import ConfigurationError

DEFAULT_PORT = 6379
MAX_PORT = 65_535

ACCEPTED = (
    "host, host:port, redis://[user:password@]host[:port][/db], rediss://… for TLS, unix:///path[?db=N], "
    "[IPv6]:port in place of a host, or memory:// (the same as nothing) for a cache in the process only"
)

_ENCODED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")


@dataclass(frozen=True, slots=True)
class CacheAddress:
    """Where the cache is and how to get in.

    Attributes:
        kind: `memory` for no server at all; `tcp` uses host and port, `unix` uses path.
        host: Name or IP address, IPv6 without brackets.
        port: TCP port.
        db: Number of the Redis database.
        tls: Whether to encrypt, and to check the server's certificate.
        username: Name to log in as; None for the default user.
        password: None where none is needed. Not in the `repr`.
        path: Absolute path of a unix socket.
    """

    kind: Literal["memory", "tcp", "unix"]
    host: str = ""
    port: int = DEFAULT_PORT
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    path: str = ""

    @property
    def redacted(self) -> str:
        """The address for logs: without user and password."""
        if self.kind == "memory":
            return "memory://"
        login = "***@" if self.username or self.password else ""
        if self.kind == "unix":
            return f"unix://{login}{self.path}" + (f"?db={self.db}" if self.db else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{login}{host}:{self.port}/{self.db}"


def parse_address(value: str) -> CacheAddress:
    """Read an address.

    Args:
        value: In one of the spellings of `ACCEPTED`, with or without white space around it. User and password
            may be percent-encoded; they need not be, except for `%` itself.

    Raises:
        ConfigurationError: It is none of them. The message does not quote it: it may hold a password.
    """
    value = value.strip()
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "redis", value
    scheme = scheme.lower()
    if not value or (scheme == "memory" and not rest):
        return CacheAddress("memory")
    # From the right: an unencoded password may hold an @ of its own.
    login, _, place = rest.rpartition("@")
    if not _ENCODED.fullmatch(login):
        raise _refusal("a % in user or password must be written %25")
    username, _, password = login.partition(":")
    place, _, query = place.partition("?")
    if scheme in {"redis", "rediss"}:
        authority, _, db = place.partition("/")
        host, port = _host_and_port(unquote(authority))
        return CacheAddress(
            kind="tcp",
            host=host,
            port=port,
            db=_db(db, query),
            tls=scheme == "rediss",
            username=unquote(username) or None,
            password=unquote(password) or None,
        )
    if scheme == "unix":
        path = unquote(place)
        if not path.startswith("/"):
            raise _refusal("a unix socket takes an absolute path, as in unix:///run/redis.sock")
        return CacheAddress(
            kind="unix",
            path=path,
            db=_db("", query),
            username=unquote(username) or None,
            password=unquote(password) or None,
        )
    raise _refusal("its scheme is not known")


def _host_and_port(authority: str) -> tuple[str, int]:
    if _is_ipv6(authority):
        return authority, DEFAULT_PORT
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (rest and not rest.startswith(":")):
            raise _refusal("the IPv6 address is malformed")
        return host, _port(rest[1:])
    host, _, port = authority.partition(":")
    if not host:
        raise _refusal("the host is missing")
    if not _HOST.fullmatch(host):
        raise _refusal("the host has characters that no host name has")
    return host, _port(port)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    port = _number(text)
    if port is None or not 1 <= port <= MAX_PORT:
        raise _refusal(f"the port is not a number from 1 to {MAX_PORT}")
    return port


def _db(path: str, query: str) -> int:
    options = dict(parse_qsl(query, keep_blank_values=True))
    text = options.pop("db", path)
    if options:
        raise _refusal("of the options after the question mark only db is known")
    number = _number(text or "0")
    if number is None:
        raise _refusal("the database is not a number")
    return number


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _refusal(reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"the cache address (MLAPI_REDIS_URL or REDIS_URL) cannot be used: {reason}; accepted are {ACCEPTED}"
    )
