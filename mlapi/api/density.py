"""A quick look at a body before it is parsed: more values than any valid request has?

Parsing is compiled code that holds the event loop from the first byte to the last. For texts that is a few
milliseconds a megabyte, but millions of tiny values in the same megabytes take seconds. They are recognised
by their separators outside strings, at the speed of `bytes.find`, with pauses for the event loop.
"""

from __future__ import annotations

import asyncio

from mlapi.api.problems import INVALID, TOO_MANY_TEXTS, Problem

SUSPICIOUS_COMMAS = 1_000
"""Commas, inside strings or not, up to which any body is parsed quickly enough."""

MOST_FIELDS = 16
STEPS_AT_ONCE = 5_000

QUOTE, BACKSLASH = b'"', b"\\"


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
    commas = colons = position = steps = 0
    while True:
        quote = raw.find(QUOTE, position)
        end = len(raw) if quote < 0 else quote
        commas += raw.count(b",", position, end)
        colons += raw.count(b":", position, end)
        if colons > MOST_FIELDS:
            raise Problem(INVALID, "The body holds more fields than the schema has.")
        if commas > max_texts:
            raise Problem(
                TOO_MANY_TEXTS, f"This route takes at most {max_texts} texts. Send several requests."
            )
        if quote < 0:
            return
        position = quote + 1
        while True:
            steps += 1
            if steps % STEPS_AT_ONCE == 0:
                await asyncio.sleep(0)
            quote = raw.find(QUOTE, position)
            if quote < 0:
                return
            segment = raw[position:quote]
            position = quote + 1
            backslashes = len(segment) - len(segment.rstrip(BACKSLASH))
            if backslashes % 2 == 0:  # not an escaped quote: the string ends here
                break
