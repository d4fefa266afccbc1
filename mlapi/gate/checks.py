"""The two things that are waited for: that the name of Redis resolves, and that Redis answers PONG.

Redis is spoken to over a plain socket, because redis-py takes longer to import than the whole check, and
hides what Redis said in exceptions of its own.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from typing import TYPE_CHECKING

from mlapi.cache.protocol import pack
from mlapi.errors import ConfigurationError, reason_of
from mlapi.gate.attempts import NotYet

if TYPE_CHECKING:
    from mlapi.cache.access import RedisAccess

MAX_LINE = 1_024
"""Bytes of a reply that are read; everything asked here is answered in one short line."""

REFUSED_LOGINS = (
    b"-WRONGPASS",
    b"-NOAUTH",
    b"-ERR invalid password",
    b"-ERR Client sent AUTH",  # to a Redis that has no password: version 5, and 6 and later
    b"-ERR AUTH <password> called without any password",
)
"""How replies begin that are about user and password, in Redis 5 and later."""


def name_to_resolve(access: RedisAccess) -> str | None:
    """Return the name that must resolve; None where the address needs no name."""
    address = access.address
    if address.kind != "tcp":
        return None
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        return address.host
    return None


def resolve(host: str, port: int) -> None:
    """Look a name up as a connection would.

    Raises:
        NotYet: It has no address, or nobody can be asked.
    """
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _unresolved(host, error) from None


def ping(access: RedisAccess, seconds: float) -> None:
    """Connect and log in as the service does, and ask for a PONG.

    Args:
        access: Of kind `tcp` or `unix`.
        seconds: For everything but the resolution of the name, which nothing can interrupt.

    Raises:
        NotYet: There is no connection, no trust, no login, or no PONG.
    """
    end = time.monotonic() + seconds
    try:
        username, password = access.login()
        with _connected(access, seconds) as connection:
            if username or password:
                login = [word.encode() for word in (username, password or "") if word is not None]
                _expect("OK", _ask(connection, end, b"AUTH", *login))
            if access.address.db:
                _expect("OK", _ask(connection, end, b"SELECT", b"%d" % access.address.db))
            _expect("PONG", _ask(connection, end, b"PING"))
    except ConfigurationError as error:  # a file that was there at the start
        raise NotYet(str(error)) from None
    except UnicodeError as error:
        raise _unresolved(access.address.host, error) from None
    except TimeoutError:
        raise NotYet(f"no answer within {seconds:.3g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise NotYet(f"its certificate is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise NotYet(f"TLS cannot be agreed on ({error.reason or type(error).__name__})") from None
    except OSError as error:
        raise NotYet(reason_of(error).lower()) from None


def _unresolved(host: str, error: OSError | UnicodeError) -> NotYet:
    reason = error.strerror if isinstance(error, socket.gaierror) else type(error).__name__
    return NotYet(f"the name {host} does not resolve ({reason})")


def _connected(access: RedisAccess, seconds: float) -> socket.socket:
    address = access.address
    if address.kind == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        try:
            connection.connect(address.path)
        except BaseException:
            connection.close()
            raise
        return connection
    connection = socket.create_connection((address.host, address.port), timeout=seconds)
    if not address.tls:
        return connection
    try:
        return access.tls_context().wrap_socket(connection, server_hostname=address.host)
    except BaseException:
        connection.close()
        raise


def _ask(connection: socket.socket, end: float, *command: bytes) -> bytes:
    """Send one command and return the first line of the reply, without its end."""
    _limit(connection, end)
    connection.sendall(pack(*command))
    reply = b""
    while not reply.endswith(b"\r\n"):
        _limit(connection, end)
        received = connection.recv(MAX_LINE)
        if not received:
            raise NotYet("it closed the connection")
        reply += received
        if len(reply) > MAX_LINE:
            raise NotYet("what answers there is not Redis")
    return reply[:-2]


def _limit(connection: socket.socket, end: float) -> None:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _expect(wanted: str, reply: bytes) -> None:
    if reply == b"+" + wanted.encode():
        return
    if reply.startswith(b"-LOADING"):
        raise NotYet("it is loading its data")
    if reply.startswith(REFUSED_LOGINS):
        raise NotYet("it refuses the login, user or password is wrong or missing (MLAPI_REDIS_PASSWORD_FILE)")
    if reply.startswith(b"-ERR DB index"):
        raise NotYet("it does not have the database of the address")
    if reply.startswith(b"-"):
        # The first word alone: the rest may quote what was sent.
        code = reply[1:].partition(b" ")[0][:32].decode("ascii", "replace")
        raise NotYet(f"it answers {code}, not {wanted}")
    raise NotYet("what answers there is not Redis")
