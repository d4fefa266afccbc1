"""Commands as Redis reads them."""

from __future__ import annotations


def pack(*parts: bytes) -> bytes:
    """Return a command as Redis reads it: an array of bulk strings.

    Source: the Redis serialization protocol, https://redis.io/docs/latest/develop/reference/protocol-spec/.
    """
    return b"".join([b"*%d\r\n" % len(parts), *[b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]])
