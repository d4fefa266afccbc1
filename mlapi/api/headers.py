"""Headers as a server hands them over, looked at in place: of each request a few are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Scope


def header(headed: Scope | Message, wanted: bytes) -> bytes:
    """Return the first value of a header, empty where it was not sent.

    Args:
        headed: A request's scope, or the message that begins a response.
        wanted: The header's name in lower case, as servers write it there.
    """
    for name, value in headed["headers"]:
        if name == wanted:
            return bytes(value)
    return b""


def content_length(headed: Scope | Message) -> int:
    """Return the announced length in bytes, 0 where there is none."""
    value = header(headed, b"content-length")
    return int(value) if value.isdigit() else 0
