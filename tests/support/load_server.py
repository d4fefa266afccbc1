"""A small HTTP server in a thread that does as a test says: answers, delays, breaks."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"


def answer(body: bytes = b"{}", *, status: int = 200, headers: str = "") -> bytes:
    """Return a whole response with its length."""
    head = f"HTTP/1.1 {status} Something\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


class LoadServer:
    """Answers every request with what `reply` makes of its number (from 0) and body, after `delay_s`.

    A reply without a byte closes the connection; so does one that says `Connection: close`, once it is sent.
    With `connections`, no more than so many are accepted.

    Attributes:
        port: Where it listens.
        bodies: Of the requests, in the order in which they came.
        connections: How many were opened.
        most_at_once: The most requests that were under way at one time.
    """

    def __init__(
        self,
        reply: Callable[[int, bytes], bytes] = lambda _, __: answer(),
        *,
        delay_s: float = 0,
        connections: int | None = None,
    ) -> None:
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.most_at_once = 0
        self._at_once = 0
        self._reply = reply
        self._delay_s = delay_s
        self._most = connections
        self._listening = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())
            self._loop.call_soon(self._listening.set)  # not sooner, so that a stop finds it running
            self._loop.run_forever()
            self._server.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.connections == self._most:
            self._server.close()
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                number = len(self.bodies)
                self.bodies.append(body := await reader.readexactly(int(length[1])))
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
                await asyncio.sleep(self._delay_s)
                self._at_once -= 1
                reply = self._reply(number, body)
                writer.write(reply)
                await writer.drain()
                if not reply or b"Connection: close" in reply:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()
