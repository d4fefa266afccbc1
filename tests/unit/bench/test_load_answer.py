"""Responses in pieces, as they come over a connection."""

from __future__ import annotations

import pytest

from bench.load.answer import Answer, AnswerReader, GarbledAnswerError

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nfour\r\nd;ext=1\r\nhas \r\n0\r\n\r\nin\r\n0\r\n\r\n"
)
TRAILERS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n"
EMPTY = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH


@pytest.mark.parametrize(
    ("data", "status"),
    [(LENGTH, 200), (CHUNKED, 200), (TRAILERS, 200), (EMPTY, 503), (NO_CONTENT, 204), (CONTINUED, 200)],
    ids=["length", "chunked", "trailers", "empty", "no content", "continue"],
)
def test_a_response_is_complete_with_its_last_byte(data: bytes, status: int) -> None:
    """If this fails, latency ends before the answer does, or an answer is never seen to end."""
    for step in (1, 2, 7, len(data)):
        reader = AnswerReader()
        for _ in range(2):  # the next response over the same connection must be read as well
            parts = [data[start : start + step] for start in range(0, len(data), step)]
            assert [reader.feed(part) for part in parts[:-1]] == [None] * (len(parts) - 1)
            assert reader.feed(parts[-1]) == Answer(status, reusable=True, cache=None)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """If this fails, servers that answer so seem to break every request."""
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.0 200 OK\r\n\r\nsome body") is None
    assert reader.close() == Answer(200, reusable=False, cache=None)
    assert AnswerReader().close() is None
    reader.feed(LENGTH[:-1])
    assert reader.close() is None


def test_headers_are_read_in_any_case() -> None:
    """If this fails, hits are not counted, or a request is sent into a connection that is being closed."""
    head = (
        b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 0\r\nConnection: Close\r\nX-Cache: hits=1, misses=2, coalesced=3"
    )
    assert AnswerReader().feed(head + b"\r\n\r\n") == Answer(200, reusable=False, cache=(1, 2, 3))


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        LENGTH + b"x",
        b"x" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ],
    ids=["not HTTP", "too much", "endless head", "no chunk size"],
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    """If this fails, garbage counts as a fast answer, or is waited for until the time-out."""
    with pytest.raises(GarbledAnswerError):
        AnswerReader().feed(data)
