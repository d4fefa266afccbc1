"""Read an HTTP/1.1 response as it comes in, and keep of it only what a measurement needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_END = b"\r\n\r\n"
LINE_END = b"\r\n"
MOST_HEAD_BYTES = 65_536
NO_BODY = (204, 304)
INFORMATIONAL = range(100, 200)

_status = re.compile(rb"HTTP/1\.[01] (\d{3})")
_length = re.compile(rb"\r\ncontent-length: *(\d+)")
_cache = re.compile(rb"\r\nx-cache: *hits=(\d+), misses=(\d+), coalesced=(\d+)")


class GarbledAnswerError(Exception):
    """What came is not an HTTP/1.1 response."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, without its body.

    Attributes:
        status: Of its first line.
        reusable: Whether the connection may carry another request.
        cache: Texts that were hits, misses and coalesced by the header `X-Cache`; None where there is none.
    """

    status: int
    reusable: bool
    cache: tuple[int, int, int] | None


class AnswerReader:
    """Takes the bytes of one connection and tells when a response is complete.

    Bodies end as RFC 9112 says: by `Content-Length`, by the last chunk, or with the connection.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Answer | None = None
        self._end = -1  # of the body in the buffer; -1: not known yet
        self._until_close = False
        self._chunk = 0  # where the next chunk's size begins

    def feed(self, data: bytes) -> Answer | None:
        """Take what came; return the response if it is complete now.

        Raises:
            GarbledAnswerError: It is none, or more came than one response.
        """
        self._buffer += data
        while self._head is None:
            if not self._read_head():
                return None
        if self._until_close or not self._body_complete():
            return None
        if len(self._buffer) > self._end:
            raise GarbledAnswerError("bytes after the end of the response")
        return self._finish()

    def close(self) -> Answer | None:
        """Take the end of the connection; return the response if that was how it should end."""
        return self._finish() if self._head is not None and self._until_close else None

    def _finish(self) -> Answer | None:
        answer, self._head = self._head, None
        self._buffer.clear()
        self._until_close = False
        return answer

    def _read_head(self) -> bool:
        end = self._buffer.find(HEAD_END)
        if end < 0:
            if len(self._buffer) > MOST_HEAD_BYTES:
                raise GarbledAnswerError("the head of the response does not end")
            return False
        head = bytes(self._buffer[: end + len(LINE_END)])
        del self._buffer[: end + len(HEAD_END)]
        if not (first := _status.match(head)):
            raise GarbledAnswerError("the response does not begin with HTTP/1.1 and a status")
        status = int(first[1])
        if status in INFORMATIONAL:
            return True  # another head follows
        head = head.lower()
        length = _length.search(head)
        chunked = b"\r\ntransfer-encoding: chunked\r\n" in head
        self._until_close = not (length or chunked or status in NO_BODY)
        self._end = -1 if chunked else int(length[1]) if length and status not in NO_BODY else 0
        self._chunk = 0
        cache = _cache.search(head)
        self._head = Answer(
            status,
            reusable=not self._until_close and b"\r\nconnection: close\r\n" not in head,
            cache=(int(cache[1]), int(cache[2]), int(cache[3])) if cache else None,
        )
        return True

    def _body_complete(self) -> bool:
        if self._end < 0:
            self._walk_chunks()
        return 0 <= self._end <= len(self._buffer)

    def _walk_chunks(self) -> None:
        while (line := self._buffer.find(LINE_END, self._chunk)) >= 0:
            try:
                size = int(self._buffer[self._chunk : line].partition(b";")[0], 16)
            except ValueError:
                raise GarbledAnswerError("a chunk does not begin with its size") from None
            if size == 0:
                self._end_of_trailers(line)
                return
            self._chunk = line + len(LINE_END) + size + len(LINE_END)

    def _end_of_trailers(self, line: int) -> None:
        """Find the empty line after the last chunk, whose size stands in the line that ends here."""
        end = self._buffer.find(HEAD_END, line)
        if end >= 0:
            self._end = end + len(HEAD_END)
