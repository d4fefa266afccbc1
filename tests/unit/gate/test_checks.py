"""The gate's two checks. What answers here is a Redis in states that a real one is hard to bring into."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from mlapi.cache.access import RedisAccess
from mlapi.cache.address import parse_address
from mlapi.gate.attempts import NotYet
from mlapi.gate.checks import name_to_resolve, ping, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 10.0


@contextmanager
def _answering(*replies: bytes) -> Iterator[str]:
    """A server that gives one connection these bytes, one piece for each it gets, and then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):  # the client may have heard enough
                connection.settimeout(PATIENCE_S)
                for reply in replies:
                    if not connection.recv(65_536):
                        return
                    for byte in reply:  # as slowly as a network may
                        connection.sendall(bytes([byte]))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE_S)


def _access(address: str, *, password: str | None = None) -> RedisAccess:
    return RedisAccess(parse_address(address), password=password)


def test_pong_is_a_success() -> None:
    """If it fails, no pod ever gets past the gate."""
    with _answering(b"+PONG\r\n") as address:
        ping(_access(address), PATIENCE_S)


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ((b"-LOADING Redis is loading the dataset in memory\r\n",), "it is loading its data"),
        ((b"-NOAUTH Authentication required.\r\n",), "it refuses the login"),
        ((b"-NOPERM this user has no permissions\r\n",), "it answers NOPERM, not PONG"),
        ((b"-MISCONF secret text\r\n",), "it answers MISCONF, not PONG"),
        ((b"+OK\r\n",), "what answers there is not Redis"),
        ((b"HTTP/1.1 400 Bad Request\r\n",), "what answers there is not Redis"),
        ((b"x" * 5_000,), "what answers there is not Redis"),
        ((b"+PON",), "it closed the connection"),
        ((b"",), "it closed the connection"),
    ],
)
def test_anything_but_pong_is_none(replies: tuple[bytes, ...], said: str) -> None:
    """If it fails, a pod starts as if its cache were there, or the reason for waiting is wrong."""
    with _answering(*replies) as address, pytest.raises(NotYet, match=said) as caught:
        ping(_access(address), PATIENCE_S)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        b"-ERR invalid password\r\n",
        b"-ERR Client sent AUTH, but no password is set\r\n",
        b"-ERR AUTH <password> called without any password configured for the default user.\r\n",
    ],
)
def test_a_refused_login_is_said_as_such(reply: bytes) -> None:
    """If it fails, whoever has the wrong password looks for a fault of the network."""
    with _answering(reply) as address, pytest.raises(NotYet, match="user or password is wrong") as caught:
        ping(_access(address, password="hunter2"), PATIENCE_S)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there() -> None:
    """If it fails, the gate lets a service through that can never use the database of its address."""
    with (
        _answering(b"-ERR DB index is out of range\r\n") as address,
        pytest.raises(NotYet, match="database"),
    ):
        ping(_access(f"redis://{address}/99"), PATIENCE_S)


def test_silence_ends_with_its_time() -> None:
    """If it fails, a server that takes connections and says nothing holds the pod."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = time.monotonic()
        with pytest.raises(NotYet, match="no answer within"):
            ping(_access(f"127.0.0.1:{listener.getsockname()[1]}"), 0.2)
        assert time.monotonic() - started < PATIENCE_S


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("redis", "redis"),
        ("rediss://cache.internal:6380/1", "cache.internal"),
        ("127.0.0.1:6379", None),
        ("[::1]:6379", None),
        ("unix:///run/redis.sock", None),
        ("memory://", None),
    ],
)
def test_what_there_is_to_resolve(address: str, name: str | None) -> None:
    """If it fails, the gate waits for names that nobody needs, or not for the one that is needed."""
    assert name_to_resolve(_access(address)) == name


def test_names() -> None:
    """If it fails, names that resolve hold a pod back, or those that do not let it through."""
    resolve("localhost", 6379)
    for name in ("redis.invalid", "x" * 64):  # no label of a name is longer than 63
        with pytest.raises(NotYet, match=f"the name {name} does not resolve"):
            resolve(name, 6379)
    with pytest.raises(NotYet, match=f"the name {name} does not resolve"):
        ping(_access(name), PATIENCE_S)
