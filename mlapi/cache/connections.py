"""Connections to Redis, each used by one exchange at a time and thrown away after any that failed.

A reply that comes too late must never be read as the answer to a later question, so a connection with a
question open is closed, not kept. What is used here is the plain layer of redis-py under its client: client
and pool take two to three times the CPU time per lookup, and by default (RESP3 with maintenance
notifications) the pool hands out connections that hold unread data.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from mlapi.cache.events import ignore_event
from mlapi.cache.health import Health
from mlapi.cache.protocol import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection

    from mlapi.cache.access import RedisAccess
    from mlapi.cache.events import CacheEvent, OnEvent

    AnyConnection = Connection | SSLConnection | UnixDomainSocketConnection

PING_ATTEMPTS = 2
"""One late reply is no outage: the event loop itself may have been held up."""


class RedisConnections:
    """A bounded set of connections to one Redis. Connects when first needed.

    Attributes:
        health: Whether the last exchange went through, whatever Redis said in it.
    """

    def __init__(
        self,
        access: RedisAccess,
        *,
        connect_timeout_s: float,
        max_connections: int,
        on_event: OnEvent = ignore_event,
        on_change: Callable[[], None] | None = None,
        on_connect: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep the access; nothing connects here.

        Args:
            access: Where Redis is and how to get in; of kind `tcp` or `unix`.
            connect_timeout_s: Seconds for one attempt to connect.
            max_connections: How many exchanges run at once; more wait their turn.
            on_event: Told of exchanges that failed.
            on_change: Called when `health` is first known and when it has changed.
            on_connect: Called before each new connection.
        """
        # Here, not at the first lookup, which has less time than the import takes.
        import redis.asyncio  # noqa: F401

        self._access = access
        self._on_connect = on_connect
        self._connect_timeout_s = connect_timeout_s
        address = access.address
        self._options: dict[str, Any] = {
            "db": address.db,
            # Deadlines belong to `exchange`: a timeout in every write costs a task each.
            "socket_timeout": None,
            "socket_connect_timeout": connect_timeout_s,
            "protocol": 2,
            "driver_info": None,  # spares two commands per connection
        }
        self._idle: list[AnyConnection] = []
        self._slots = asyncio.Semaphore(max_connections)
        self._closed = False
        self._on_event = on_event
        self.health = Health(
            well=f"Redis at {address.redacted} answers again",
            ill=f"Redis at {address.redacted} does not answer, the service goes on without it",
            on_change=on_change,
        )

    async def exchange(self, commands: Sequence[bytes], *, timeout_s: float) -> list[object] | None:
        """Send the commands in one write and read all replies.

        Args:
            commands: Each as made by `pack`.
            timeout_s: Seconds for everything: waiting for a connection, connecting, writing and reading.

        Returns:
            A reply per command, which is a `redis.exceptions.ResponseError` where Redis refused the command.
            None where there was no connection or no reply in time; some commands may have been carried out.
        """
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                replies = await self._exchange(commands)
        except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on without Redis
            await self._failed(error)
            return None
        self.health.succeeded()
        return replies

    async def ping(self, *, timeout_s: float) -> None:
        """Find out whether Redis answers as fast as an exchange needs it, and note it in `health`.

        Args:
            timeout_s: Seconds for the reply. A connection, where none is idle, has a time of its own.
        """
        failure: Exception | None = None
        for _ in range(PING_ATTEMPTS):
            try:
                async with asyncio.timeout(self._connect_timeout_s) as limit, self._slots:
                    await self._exchange([pack(b"PING")], connected=partial(_reschedule, limit, timeout_s))
            except Exception as error:  # noqa: BLE001 - as in `exchange`
                failure = error
                await self._discard_idle()
            else:
                self.health.succeeded()
                return
        if failure is not None:
            await self._failed(failure)

    async def aclose(self) -> None:
        """Close the idle connections now, and those in use when their exchange is over."""
        self._closed = True
        await self._discard_idle()

    async def _failed(self, error: Exception) -> None:
        # The others go to the same server: waiting for each to fail would cost one timeout apiece.
        await self._discard_idle()
        self.health.failed(error)
        self._on_event(_failure(error), 1)

    async def _exchange(
        self, commands: Sequence[bytes], *, connected: Callable[[], None] | None = None
    ) -> list[object]:
        connection = await self._take()
        try:
            if connected is not None:
                await connection.connect()  # type: ignore[no-untyped-call]
                connected()
            await connection.send_packed_command(commands)
            replies = [await _reply(connection) for _ in commands]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        if self._closed:
            await self._discard_idle()
        return replies

    async def _take(self) -> AnyConnection:
        """Return an idle connection that Redis has not closed meanwhile, or one that is yet to connect."""
        while self._idle:
            connection = self._idle.pop()
            if not await connection.can_read():  # true at the end of the stream too
                return connection
            await connection.disconnect(nowait=True)
        return self._make()

    async def _discard_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    def _make(self) -> AnyConnection:
        from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection

        self._on_connect()
        address = self._access.address
        username, password = self._access.login()
        options = {**self._options, "username": username, "password": password}
        if address.kind == "unix":
            return UnixDomainSocketConnection(path=address.path, **options)
        if not address.tls:
            return Connection(host=address.host, port=address.port, **options)
        connection = SSLConnection(host=address.host, port=address.port, **options)
        connection.ssl_context.context = self._access.tls_context()
        return connection


def _reschedule(limit: asyncio.Timeout, seconds: float) -> None:
    limit.reschedule(asyncio.get_running_loop().time() + seconds)


async def _reply(connection: AnyConnection) -> object:
    from redis.exceptions import ResponseError

    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def _failure(error: Exception) -> CacheEvent:
    """Return under which name a failed exchange is counted."""
    from redis.exceptions import AuthenticationError
    from redis.exceptions import TimeoutError as ConnectTimeoutError

    if isinstance(error, (TimeoutError, ConnectTimeoutError)):
        return "redis_timeout"
    return "redis_refused" if isinstance(error, AuthenticationError) else "redis_unreachable"
