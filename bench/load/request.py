"""What a load consists of: one HTTP request after another, made before the clock starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of JSON.

    Attributes:
        path: With the leading slash.
        body: As it is sent.
        texts: How many texts it holds.
    """

    path: str
    body: bytes
    texts: int = 1

    def encode(self, port: int) -> bytes:
        """Return the bytes that go over a connection to this port, head and body."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode("ascii") + self.body


def encoded(requests: Sequence[Request], port: int) -> list[bytes]:
    """Return the bytes of each; a request that comes again is made once."""
    made = {id(request): request for request in requests}
    data = {identity: request.encode(port) for identity, request in made.items()}
    return [data[id(request)] for request in requests]
