"""One server, started and known to answer correctly, and ended with all its processes."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bench.peers.expected import Expected
from bench.peers.peer import REPOSITORY, WORK
from bench.peers.processes import end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bench.load.request import Request
    from bench.peers.peer import Peer, Scores

Read = TypeVar("Read")

HOST = "127.0.0.1"
START_S = 300.0
ANSWER_S = 60.0
END_S = 30.0
POLL_S = 0.2
LOG_LINES = 30

COMMON_ENVIRON: Mapping[str, str] = {
    # No hub, and no word to anyone about who runs what.
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}
NOT_PASSED_ON = (
    *("MLAPI_", "REDIS_", "OMP_", "MKL_", "MLSERVER_", "INFINITY_", "MOSEC_", "UVICORN_"),
    "PYTHONPATH",
)
"""The caller's settings would be in nobody's table of configurations."""


class PeerError(Exception):
    """A server that did not start, answered wrongly, or changed the model; with the end of its log."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that has answered correctly.

    Attributes:
        pid: Of its first process; the others are that process's descendants, or in its session.
        port: On 127.0.0.1.
        ready_s: From its start to the first correct answer.
        first: That answer.
    """

    pid: int
    port: int
    ready_s: float
    first: Scores


@contextlib.contextmanager
def running(
    peer: Peer, python: Path, model: Path, port: int | None = None, *, start_s: float = START_S
) -> Iterator[RunningServer]:
    """Start a peer, wait until it answers the golden texts correctly, and end it with all its processes.

    Args:
        peer: From the catalogue.
        python: The interpreter of its environment.
        model: The model directory.
        port: To listen on; None for a free one.
        start_s: How long it may take to answer.

    Raises:
        PeerError: It ended, did not answer in time, answered wrongly, or wrote into the model directory.
    """
    expected = Expected(peer, model)
    untouched = _files(model)
    port = port or free_port()
    log = WORK / "logs" / f"{peer.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with _ended(peer, _started(peer.command(python, model, port), peer, log), port) as process:
        try:
            first = _first_answer(peer, process, port, expected.texts[0], until=begun + start_s)
            ready_s = time.monotonic() - begun
            check_answers(peer, port, expected)
        except PeerError as error:
            raise PeerError(f"{peer.name}: {error}\n{tail(log)}") from None
        yield RunningServer(process.pid, port, ready_s, first)
    if _files(model) != untouched:
        raise PeerError(f"{peer.name}: it wrote into {model}, which is another model now: make it anew")


def _started(command: list[str], peer: Peer, log: Path) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**kept, **COMMON_ENVIRON, **peer.environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextlib.contextmanager
def _ended(peer: Peer, process: subprocess.Popen[bytes], port: int) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        end(process, patience_s=END_S)
        shutil.rmtree(peer.folder(port), ignore_errors=True)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port


def ask(port: int, request: Request) -> tuple[int, bytes]:
    """Send one request and return status and body.

    Raises:
        OSError: Nobody listens, or the connection broke or took too long.
        HTTPException: What came back is not HTTP.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=ANSWER_S)
    try:
        connection.request("POST", request.path, request.body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def tail(log: Path, lines: int = LOG_LINES) -> str:
    """Return the end of a log."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])


def _files(model: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of change of every file, by which a written one is known."""
    stats = {path: path.stat() for path in model.rglob("*") if path.is_file()}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


def _first_answer(
    peer: Peer, process: subprocess.Popen[bytes], port: int, text: str, *, until: float
) -> Scores:
    """Ask until there is an answer; before the model is there, servers refuse, or answer with an error."""
    said = "no answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise PeerError(f"it ended with status {process.returncode} before it answered")
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, body = ask(port, peer.request(text))
            if status == http.HTTPStatus.OK:
                return _read(peer.scores, body)
            said = f"status {status}: {body[:500].decode(errors='replace')}"
        time.sleep(POLL_S)
    raise PeerError(f"it was not ready in time; the last it said: {said}")


def check_answers(peer: Peer, port: int, expected: Expected) -> None:
    """Ask every golden text, one by one, then all at once, so that batches form; then all in one request.

    Raises:
        PeerError: An answer is missing or wrong.
    """
    for clients in (1, len(expected.texts)):
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(lambda text: _answer(peer, port, text), expected.texts))
        for index, scores in enumerate(answers):
            _compare(expected, index, scores)
    if peer.bulk and peer.bulk_scores:
        body = _ok(port, peer.bulk(expected.texts))
        every = _read(peer.bulk_scores, body)
        if len(every) != len(expected.texts):
            raise PeerError(f"{len(every)} answers to {len(expected.texts)} texts in one request")
        for index, scores in enumerate(every):
            _compare(expected, index, scores)


def _answer(peer: Peer, port: int, text: str) -> Scores:
    return _read(peer.scores, _ok(port, peer.request(text)))


def _ok(port: int, request: Request) -> bytes:
    try:
        status, body = ask(port, request)
    except (OSError, http.client.HTTPException) as error:
        raise PeerError(f"a golden text got no answer: {error!r}") from error
    if status != http.HTTPStatus.OK:
        raise PeerError(f"a golden text got status {status}: {body[:500].decode(errors='replace')}")
    return body


def _compare(expected: Expected, index: int, scores: Scores) -> None:
    if complaint := expected.complaint(index, scores):
        raise PeerError(f"text {index} of the golden ones was answered wrongly: {complaint}")


def _read(reader: Callable[[bytes], Read], body: bytes) -> Read:
    try:
        return reader(body)
    except (ValueError, LookupError, TypeError) as error:
        raise PeerError(f"its answer is not what was expected ({error!r}): {body[:500]!r}") from error
