"""TLS in front of a server that speaks none, such as a Redis that was built without it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

HOST = "127.0.0.1"


class TlsProxy:
    """Ends TLS on a free port and passes the bytes on, in both directions, from a thread of its own.

        with TlsProxy(context, redis_server.port) as proxy:
            connect_to(f"rediss://localhost:{proxy.port}")

    Attributes:
        port: Where it listens, on 127.0.0.1.
    """

    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        """Keep what to serve.

        Args:
            context: With the server's certificate.
            target: Port of the server behind, on 127.0.0.1.
        """
        self._context = context
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="test-tls-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(20), "the TLS proxy does not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # Refused handshakes are what some tests are about; they are no news.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        server = await asyncio.start_server(self._pass_on, HOST, 0, ssl=self._context)
        self.port: int = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind_reader, behind_writer = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.close()
            return
        ways = [_copy(reader, behind_writer), _copy(behind_reader, writer)]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            behind_writer.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
