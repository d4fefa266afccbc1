"""Log lines: one event a line, as text for people or JSON for collectors, never a text sent to us."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import IO, Literal

LogFormat = Literal["auto", "text", "json"]

FIELDS = ("request_id", "method", "route", "status", "seconds")
"""What a call may pass in `extra` to have it in the line."""


def configure(*, level: str, log_format: LogFormat, stream: IO[str] | None = None) -> None:
    """Send the root logger's lines to `stream`, by default standard error, replacing earlier handlers."""
    stream = stream or sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # uvicorn's notes on its own start and stop repeat ours; its tracebacks could carry a text.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


def frames(error: BaseException) -> str:
    """Return where an exception came from and its type, without its message, which may quote an input."""
    parts = []
    current: BaseException | None = error
    while current is not None:
        stack = traceback.extract_tb(current.__traceback__)
        where = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(stack))
        parts.append(f"{type(current).__name__} in {where or 'no frame'}")
        current = current.__cause__
    return "; caused by ".join(parts)


class TextFormatter(logging.Formatter):
    """`12:00:00 INFO mlapi.main: message key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        line = f"{clock} {record.levelname} {record.name}: {record.getMessage()}{extra}"
        return line.replace("\n", " ")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the known extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = {
            "time": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        return json.dumps(event)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    fields = {key: getattr(record, key) for key in FIELDS if hasattr(record, key)}
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = frames(record.exc_info[1])
    return fields
