"""What kube-proxy does for one Service, as a program of its own that runs inside a container.

Each line on standard input is the Service as it is now: {"port": [["address", port], ...], ...} in JSON.
Every connection goes to one of the endpoints. A port without endpoints is closed, so that clients are refused
as in a cluster. The program ends with its standard input. It is handed over as text, so it needs the standard
library alone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys

Endpoints = list[tuple[str, int]]


class Port:
    """One port of the Service."""

    def __init__(self, number: int) -> None:
        """Keep the number; nobody listens yet."""
        self.number = number
        self.endpoints: Endpoints = []
        self.turn = itertools.count()
        self.server: asyncio.Server | None = None
        self.open: set[asyncio.Task[None] | None] = set()

    async def update(self, endpoints: Endpoints) -> None:
        """Send new connections there; those that exist stay where they are, as with kube-proxy."""
        self.endpoints = endpoints
        if endpoints and self.server is None:
            self.server = await asyncio.start_server(self.accept, "0.0.0.0", self.number)
        elif not endpoints and self.server is not None:
            self.server.close()
            self.server = None

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join one client with one endpoint."""
        task = asyncio.current_task()
        self.open.add(task)  # nothing else holds a connection on which both sides are silent
        try:
            await self.join(reader, writer)
        finally:
            self.open.discard(task)

    async def join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what each side sends, until both have ended."""
        if not self.endpoints:
            writer.transport.abort()
            return
        endpoint = self.endpoints[next(self.turn) % len(self.endpoints)]
        try:
            backend_reader, backend_writer = await asyncio.open_connection(*endpoint)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(copy(reader, backend_writer), copy(backend_reader, writer))
        for each in (writer, backend_writer):
            each.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes until its end, and then the end itself."""
    try:
        while block := await reader.read(65_536):
            writer.write(block)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def main() -> None:
    """Follow what standard input says."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    ports: dict[str, Port] = {}
    while line := await reader.readline():
        for number, endpoints in json.loads(line).items():
            port = ports.setdefault(number, Port(int(number)))
            await port.update([(host, target) for host, target in endpoints])


if __name__ == "__main__":
    asyncio.run(main())
