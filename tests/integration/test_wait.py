"""`mlapi wait` as a process of its own, against real servers in every state."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import make_authority
from tests.support.http_server import REPOSITORY, clean_environment, run_cli, wait_until
from tests.support.redis_server import RedisServer
from tests.support.tls_proxy import TlsProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAVY = {
    "fastapi",
    "starlette",
    "uvicorn",
    "numpy",
    "openvino",
    "onnxruntime",
    "tokenizers",
    "redis",
    "prometheus_client",
}
MUCH_TOO_LONG_S = 20.0


class Waiting:
    """A `mlapi wait` that runs.

    Attributes:
        process: The process.
    """

    def __init__(self, what: str, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlapi", "wait", what],
            cwd=REPOSITORY,
            env=clean_environment(environment),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def said(self, part: str) -> bool:
        """Tell whether a line of the log has this part."""
        return any(part in line["message"] for line in self.lines)

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        status = self.process.wait(60)
        self._reader.join(10)
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr:
            for line in self.process.stderr:
                self.lines.append(json.loads(line))


def _wait(what: str, **environment: str) -> tuple[int, list[dict[str, Any]]]:
    done = run_cli("wait", what, environment=environment)
    assert done.stdout == ""
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def _levels(lines: list[dict[str, Any]]) -> list[str]:
    return [line["level"] for line in lines]


@pytest.fixture
def last_words(tmp_path: Path) -> Path:
    """The file that Kubernetes mounts for a container's last words."""
    file = tmp_path / "termination-log"
    file.touch()
    return file


@pytest.fixture
def locked_server() -> Iterator[RedisServer]:
    """A Redis that wants a password."""
    with RedisServer(password="hunter2") as server:
        yield server


def test_redis_that_is_there(redis_server: RedisServer, last_words: Path) -> None:
    """If it fails, pods wait although nothing is missing, or do not start at all."""
    status, lines = _wait("redis", REDIS_URL=redis_server.url, MLAPI_TERMINATION_LOG=str(last_words))
    assert (status, _levels(lines)) == (0, ["info"])
    assert "answers PONG" in lines[0]["message"]
    assert last_words.read_bytes() == b""


def test_redis_that_appears(redis_server: RedisServer) -> None:
    """If it fails, pods that start together with Redis start without it, or wait long after it is there."""
    redis_server.stop()
    waiting = Waiting("redis", {"REDIS_URL": redis_server.url, "MLAPI_WAIT_TIMEOUT_S": "60"})
    wait_until(lambda: waiting.said("connection refused"), timeout=MUCH_TOO_LONG_S)
    redis_server.start()
    started = time.monotonic()
    assert waiting.end() == 0
    assert time.monotonic() - started < MUCH_TOO_LONG_S
    assert _levels(waiting.lines) == ["info", "info"]


@pytest.mark.parametrize("state", ["absent", "frozen"])
def test_giving_up(redis_server: RedisServer, last_words: Path, state: str) -> None:
    """If it fails, an outage of the cache stops a scale-out, or passes without a word."""
    redis_server.freeze() if state == "frozen" else redis_server.stop()
    status, lines = _wait(
        "redis",
        REDIS_URL=redis_server.url,
        MLAPI_WAIT_TIMEOUT_S="1",
        MLAPI_TERMINATION_LOG=str(last_words),
    )
    assert (status, _levels(lines).count("warning"), lines[-1]["level"]) == (0, 1, "warning")
    assert "gave up after" in lines[-1]["message"]
    assert last_words.read_text(encoding="utf-8") == lines[-1]["message"]


def test_loading_is_waited_out(tmp_path: Path) -> None:
    """If it fails, a Redis that reads its data back is taken for one that answers."""
    saved = ("--dir", str(tmp_path), "--rdbcompression", "no")
    with RedisServer(options=saved) as server:
        for number in range(100):  # Redis looks up from loading every 2 MB
            server.command("SET", str(number), "x" * 100_000)
        assert server.command("SAVE") == b"+OK\r\n"
        server.stop()
        slow = RedisServer(options=(*saved, "--key-load-delay", "40000"))
        starting = threading.Thread(target=slow.start)
        starting.start()
        try:
            wait_until(lambda: _answer(slow).startswith(b"-LOADING"), timeout=MUCH_TOO_LONG_S)
            status, lines = _wait("redis", REDIS_URL=slow.url, MLAPI_WAIT_TIMEOUT_S="60")
            assert _answer(slow) == b"+PONG\r\n"
        finally:
            starting.join()
            slow.stop()
    assert (status, _levels(lines)) == (0, ["info", "info"])
    assert "it is loading its data" in lines[0]["message"]


@pytest.mark.parametrize("password", ["", "wrong-secret"])
def test_refused_login_is_said_as_such(locked_server: RedisServer, password: str, last_words: Path) -> None:
    """If it fails, whoever set the wrong password looks for a fault of the network, or the log shows it."""
    status, lines = _wait(
        "redis",
        REDIS_URL=f"127.0.0.1:{locked_server.port}",
        REDIS_PASSWORD=password,
        MLAPI_WAIT_TIMEOUT_S="0.5",
        MLAPI_TERMINATION_LOG=str(last_words),
    )
    assert status == 0
    assert "user or password is wrong" in lines[-1]["message"]
    assert "secret" not in json.dumps(lines) + last_words.read_text(encoding="utf-8")


def test_a_password_that_redis_does_not_have_is_said_as_such(redis_server: RedisServer) -> None:
    """If it fails, whoever forgot to give Redis its password looks for a fault of the network."""
    status, lines = _wait(
        "redis", REDIS_URL=redis_server.url, REDIS_PASSWORD="hunter2", MLAPI_WAIT_TIMEOUT_S="0.5"
    )
    assert (status, lines[-1]["level"]) == (0, "warning")
    assert "it refuses the login" in lines[-1]["message"]
    assert "hunter2" not in json.dumps(lines)


def test_password_in_the_address_is_not_shown(locked_server: RedisServer) -> None:
    """If it fails, the log of every start holds the password."""
    address = f"127.0.0.1:{locked_server.port}"
    status, lines = _wait("redis", REDIS_URL=f"redis://someone:hunter2@{address}", MLAPI_WAIT_TIMEOUT_S="0.5")
    assert (status, _levels(lines)[-1]) == (0, "warning")  # there is no such user
    for secret in ("someone", "hunter2"):
        assert secret not in json.dumps(lines)
    status, lines = _wait("redis", REDIS_URL=locked_server.url)
    assert (status, _levels(lines)) == (0, ["info"])
    assert "hunter2" not in json.dumps(lines)


def test_password_that_comes_while_waiting(locked_server: RedisServer, tmp_path: Path) -> None:
    """If it fails, a pod that starts while its Secret is being replaced starts without its cache."""
    file = tmp_path / "password"
    file.write_text("old", encoding="utf-8")
    environment = {"REDIS_URL": f"127.0.0.1:{locked_server.port}", "MLAPI_REDIS_PASSWORD_FILE": str(file)}
    waiting = Waiting("redis", {**environment, "MLAPI_WAIT_TIMEOUT_S": "60"})
    wait_until(lambda: waiting.said("user or password is wrong"), timeout=MUCH_TOO_LONG_S)
    file.write_text("hunter2\n", encoding="utf-8")
    assert waiting.end() == 0
    assert _levels(waiting.lines) == ["info", "info"]


@pytest.mark.parametrize("case", ["trusted", "stranger", "other name"])
def test_certificates(redis_server: RedisServer, tmp_path: Path, case: str) -> None:
    """If it fails, the gate passes a Redis that the service will not trust, or waits for one that it will."""
    authority, other = make_authority(tmp_path / "ca"), make_authority(tmp_path / "other")
    context = authority.server_context("DNS:elsewhere" if case == "other name" else "DNS:localhost")
    with TlsProxy(context, redis_server.port) as proxy:
        status, lines = _wait(
            "redis",
            REDIS_URL=f"rediss://localhost:{proxy.port}",
            MLAPI_REDIS_CA_FILE=str((other if case == "stranger" else authority).ca_file),
            MLAPI_WAIT_TIMEOUT_S="5" if case == "trusted" else "0.5",
        )
    assert status == 0
    assert lines[-1]["level"] == ("info" if case == "trusted" else "warning")
    assert ("its certificate is not trusted" in lines[-1]["message"]) is (case != "trusted")


@pytest.mark.parametrize("what", ["dns", "redis"])
def test_without_redis_there_is_nothing_to_wait_for(what: str) -> None:
    """If it fails, a pod that was told to do without Redis waits for it."""
    status, lines = _wait(what, REDIS_URL="memory://")
    assert (status, _levels(lines)) == (0, ["info"])


def test_unix_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    """If it fails, a Redis beside the service cannot be waited for, or its path is taken for a name."""
    path = f"/tmp/mlapi-test-{time.monotonic_ns()}.sock"  # a socket's path may have 107 bytes at most
    with RedisServer(options=("--unixsocket", path)):
        for what, said in (("dns", "no name to resolve"), ("redis", "answers PONG")):
            status, lines = _wait(what, REDIS_URL=f"unix://{path}")
            assert (status, _levels(lines)) == (0, ["info"])
            assert said in lines[0]["message"]


def test_names() -> None:
    """If it fails, the gate does not tell a name that resolves from one that does not."""
    status, lines = _wait("dns", REDIS_URL="localhost")
    assert (status, lines[-1]["message"].split(",")[0]) == (0, "the name localhost resolves")
    status, lines = _wait("dns", REDIS_URL="redis.invalid", MLAPI_WAIT_TIMEOUT_S="0.5")
    assert (status, _levels(lines)) == (0, ["info", "warning"])
    assert "the name redis.invalid does not resolve" in lines[-1]["message"]
    status, lines = _wait("dns", REDIS_URL="127.0.0.1:6380")
    assert (status, "no name to resolve" in lines[-1]["message"]) == (0, True)


def test_both_share_one_deadline(redis_server: RedisServer, tmp_path: Path) -> None:
    """If it fails, a pod waits for twice as long as was set."""
    redis_server.stop()
    environment = {
        "REDIS_URL": f"localhost:{redis_server.port}",
        "MLAPI_WAIT_TIMEOUT_S": "30",
        "MLAPI_WAIT_DEADLINE_FILE": str(tmp_path / "deadline"),
    }
    assert _wait("dns", **environment)[0] == 0
    end = float((tmp_path / "deadline").read_text(encoding="ascii"))
    assert 0 < end - time.monotonic() <= 30
    (tmp_path / "deadline").write_text(f"{time.monotonic() - 1}\n", encoding="ascii")
    status, lines = _wait("redis", **environment)
    assert (status, _levels(lines)) == (0, ["warning"])
    redis_server.start()  # one attempt is made, however late it is
    status, lines = _wait("redis", **environment)
    assert (status, _levels(lines)) == (0, ["info"])


@pytest.mark.parametrize("file", ["", ".", "/"])
@pytest.mark.parametrize("what", ["dns", "redis"])
def test_a_deadline_without_a_file_is_ones_own(redis_server: RedisServer, what: str, file: str) -> None:
    """If it fails, a setting that was emptied, or a path that is none, ends the gate with a traceback."""
    status, lines = _wait(what, REDIS_URL=f"localhost:{redis_server.port}", MLAPI_WAIT_DEADLINE_FILE=file)
    assert status == 0
    assert ("MLAPI_WAIT_DEADLINE_FILE" in json.dumps(lines)) is (what == "dns" and file != "")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"REDIS_URL": "http://redis:hunter2@cache"}, "MLAPI_REDIS_URL"),
        ({"REDIS_URL": "cache", "REDIS_PASSWORD_FILE": "/missing/password"}, "MLAPI_REDIS_PASSWORD_FILE"),
        ({"REDIS_URL": "rediss://cache", "MLAPI_REDIS_CA_FILE": "/missing/ca.pem"}, "MLAPI_REDIS_CA_FILE"),
        ({"REDIS_URL": "cache", "MLAPI_WAIT_TIMEOUT_S": "soon"}, "MLAPI_WAIT_TIMEOUT_S"),
        ({"REDIS_PASSWORD": "hunter2", "REDIS_PASSWORD_FILE": "/dev/null"}, "given twice"),
    ],
)
@pytest.mark.parametrize("what", ["dns", "redis"])
def test_mistakes_are_not_waited_out(what: str, environment: dict[str, str], said: str) -> None:
    """If it fails, a typing mistake looks like an outage of Redis, and the pod starts uncached for ever."""
    done = run_cli("wait", what, environment=environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("what", ["dns", "redis"])
def test_sigterm_ends_it_at_once(what: str) -> None:
    """If it fails, a pod that is deleted while it waits takes its whole grace period to go."""
    waiting = Waiting(what, {"REDIS_URL": "redis.invalid", "MLAPI_WAIT_TIMEOUT_S": "60"})
    wait_until(lambda: waiting.said("does not resolve") or waiting.said("not known"), timeout=MUCH_TOO_LONG_S)
    started = time.monotonic()
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.end() == 128 + signal.SIGTERM
    assert time.monotonic() - started < MUCH_TOO_LONG_S
    assert _levels(waiting.lines) == ["info"]


@pytest.mark.parametrize("what", ["dns", "redis"])
def test_little_is_imported(what: str, redis_server: RedisServer) -> None:
    """If it fails, each of the two gates adds the start-up time of the service to that of every pod."""
    program = (
        "import json, sys; from mlapi.cli import app; app(['wait', sys.argv[1]], standalone_mode=False); "
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, what],
        cwd=REPOSITORY,
        env=clean_environment({"REDIS_URL": f"localhost:{redis_server.port}"}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert HEAVY & {name.partition(".")[0] for name in json.loads(done.stdout)} == set()


def _answer(server: RedisServer) -> bytes:
    try:
        return server.command("PING")
    except OSError:
        return b""
