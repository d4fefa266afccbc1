from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from mlapi.log import FIELDS, JsonFormatter, TextFormatter, configure, frames

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a marked secret"


@pytest.fixture
def _root_as_before() -> Iterator[None]:
    """Undo what `configure` does to the logging of the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = ("uvicorn", "uvicorn.error", "uvicorn.access")
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).disabled) for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, (old_level, disabled) in before.items():
        logging.getLogger(name).setLevel(old_level)
        logging.getLogger(name).disabled = disabled


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _fail() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise LookupError(f"{SECRET} again") from error


def _failure() -> Exception:
    try:
        _fail()
    except LookupError as error:
        return error
    raise AssertionError("it was to fail")


def _record(**more: Any) -> logging.LogRecord:
    error = more.pop("error", None)
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("mlapi.test", logging.WARNING, __file__, 1, "%d of %s", (3, "four"), info)
    record.__dict__.update(more)
    return record


def test_json_lines_parse() -> None:
    """If it fails, a log collector cannot read our lines."""
    event = json.loads(JsonFormatter().format(_record()))
    assert event.pop("time").endswith("Z")
    assert event == {"level": "warning", "logger": "mlapi.test", "message": "3 of four"}


def test_known_fields_are_in_the_line_and_others_are_not() -> None:
    """If it fails, a request cannot be found by its id, or a text slips in beside the known fields."""
    record = _record(request_id="abc", seconds=0.5, text=SECRET)
    event = json.loads(JsonFormatter().format(record))
    assert (event["request_id"], event["seconds"]) == ("abc", 0.5)
    line = TextFormatter().format(record)
    assert "request_id=abc seconds=0.5" in line
    assert SECRET not in line + str(event)
    assert set(event) <= {"time", "level", "logger", "message", *FIELDS}


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_exceptions_are_logged_without_their_words(formatter: logging.Formatter) -> None:
    """If it fails, an exception that quotes an input puts it into the log."""
    line = formatter.format(_record(error=_failure()))
    assert SECRET not in line
    assert "LookupError in _fail " in line
    assert "caused by ValueError in _fail " in line
    assert "test_log.py" in line
    assert "\n" not in line


def test_an_exception_that_was_never_raised() -> None:
    """If it fails, logging an exception made by hand crashes."""
    assert frames(ValueError(SECRET)) == "ValueError in no frame"


def test_a_text_line_stays_one_line() -> None:
    """If it fails, a line break in a message forges a log line."""
    record = logging.LogRecord("mlapi", logging.INFO, __file__, 1, "a\nb", (), None)
    assert TextFormatter().format(record).endswith("INFO mlapi: a b")


@pytest.mark.usefixtures("_root_as_before")
@pytest.mark.parametrize(
    ("log_format", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", _Terminal(), False),
        ("text", io.StringIO(), False),
        ("json", _Terminal(), True),
    ],
)
def test_the_format_follows_setting_and_terminal(log_format: Any, stream: io.StringIO, is_json: bool) -> None:
    """If it fails, people read JSON, or collectors text."""
    configure(level="info", log_format=log_format, stream=stream)
    logging.getLogger("mlapi.test").info("event")
    assert stream.getvalue().startswith("{") is is_json


@pytest.mark.usefixtures("_root_as_before")
def test_levels_and_the_servers_own_lines() -> None:
    """If it fails, lines below the level are logged, or the server logs paths that hold a client's words."""
    stream = io.StringIO()
    configure(level="warning", log_format="text", stream=stream)
    configure(level="warning", log_format="text", stream=stream)  # replaces the first, doubles nothing
    logging.getLogger("mlapi.test").info("too little")
    logging.getLogger("mlapi.test").warning("enough")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").error("GET /%s", SECRET)
    logging.getLogger("uvicorn.error").error("failed", exc_info=_failure())
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "enough" in lines[0]
    assert SECRET not in stream.getvalue()


@pytest.mark.usefixtures("_root_as_before")
def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """If it fails, log lines are lost, or mixed into the output of a command."""
    configure(level="info", log_format="auto")
    logging.getLogger("mlapi.test").info("event")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "event"
