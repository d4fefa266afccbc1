"""A quick look at a body before it is parsed: more values than any valid request has?

Parsing is compiled code that holds the event loop from the first byte to the last. For texts that is a few
milliseconds a megabyte, but millions of tiny values in the same megabytes take seconds. They are recognised
by their separators outside strings, at the speed of `bytes.find`, with pauses for the event loop.
"""

from __future__ import annotations

import asyncio

from mlapi.api.problems import INVALID, Problem, too_many_texts

SUSPICIOUS_COMMAS = 1_000
"""Commas, inside strings or not, up to which any body is parsed quickly enough."""

MOST_FIELDS = 16
STRINGS_AT_ONCE = 5_000


async def check_density(raw: bytes, *, max_texts: int) -> None:
    """Refuse a body that holds more values or fields than a request can.

    Args:
        raw: The body. What is not JSON passes, or is refused all the same; parsing tells.
        max_texts: Most texts in one request.

    Raises:
        Problem: Too many texts (413) or fields (422).
    """
    if raw.count(b",") <= SUSPICIOUS_COMMAS:
        return
    # Without escapes, every quote begins or ends a string.
    plain = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    commas = colons = strings = position = 0
    while True:
        opening = plain.find(b'"', position)
        end = len(plain) if opening < 0 else opening
        commas += plain.count(b",", position, end)
        colons += plain.count(b":", position, end)
        if colons > MOST_FIELDS:
            raise Problem(INVALID, "The body holds more fields than the schema has.")
        if commas > max_texts:
            raise too_many_texts(max_texts)
        closing = plain.find(b'"', opening + 1) if opening >= 0 else -1
        if closing < 0:
            await asyncio.sleep(0)  # before the parser takes the loop for itself
            return
        position = closing + 1
        strings += 1
        if strings % STRINGS_AT_ONCE == 0:
            await asyncio.sleep(0)
