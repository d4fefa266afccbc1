"""Redis of the component redis-auth, in a container: which passwords it takes, and where they can be seen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mlapi.cache.access import RedisAccess
from mlapi.cache.address import parse_address
from tests.support.deploy import kustomize
from tests.support.deploy.engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.deploy.engine import Container, Engine

pytestmark = pytest.mark.container

IMAGE = "redis:7-bookworm"
LOCKED = ("--user", "999:999", "--read-only", "--cap-drop", "ALL", "--network", "none")
RUN = ("--tmpfs", "/run/redis:mode=1777,size=1m")
WITH_PASSWORD = 'REDISCLI_AUTH="$1"; export REDISCLI_AUTH; shift; exec redis-cli -e "$@"'
PROBE = ("redis-cli", "-h", "127.0.0.1", "ping")


@contextmanager
def redis_with(engine: Engine, folder: Path, password: str) -> Iterator[Container]:
    """Run Redis as the component does, with the password in its file."""
    engine.need_image(IMAGE)
    mounts = {
        "redis": [kustomize.K8S / "base" / "redis.conf", kustomize.K8S / "base" / "users.acl"],
        "redis-start": [kustomize.K8S / "components" / "redis-auth" / "start.sh"],
        "redis-auth": [],
    }
    options = [*LOCKED, *RUN]
    for name, files in mounts.items():
        mounted = folder / name
        mounted.mkdir()
        for file in files:
            (mounted / file.name).write_bytes(file.read_bytes())
        if name == "redis-auth":
            (mounted / "password").write_bytes(password.encode())
        options += ["--volume", f"{mounted}:/etc/{name}:ro"]
    with engine.running(IMAGE, *options, command=("/bin/sh", "/etc/redis-start/start.sh")) as container:
        yield container


def logged_in(container: Container, folder: Path, *command: str) -> str:
    """Return what redis-cli says with the password that the service reads in the file."""
    file = folder / "redis-auth" / "password"
    _, password = RedisAccess(parse_address("redis"), password_file=file).login()
    return container.execute("sh", "-c", WITH_PASSWORD, "sh", str(password), *command)


@pytest.mark.parametrize(
    "password",
    [
        "plain",
        "ends in a line\n",
        "ends as on Windows\r\n",
        "ends in two lines\n\n",
        "ends in all of them\r\n\n\r",
        "two\nlines\r\n",
        "with \" and \\ and ' and $HOME",
        "a nopass b",
        "#0 >x ~* %s 100%",
        "пароль",
    ],
)
def test_any_password_opens_redis(engine: Engine, tmp_path: Path, password: str) -> None:
    """A password that a generator made would lock everybody out, or open more than it should."""
    with redis_with(engine, tmp_path, password) as container:
        container.wait_for_log("Ready to accept connections")

        assert logged_in(container, tmp_path, "PING") == "PONG"
        assert logged_in(container, tmp_path, "SET", "mlapi:key", "value") == "OK"
        for refused in (("FLUSHALL",), ("BLPOP", "mlapi:list", "0")):
            with pytest.raises(EngineError, match="NOPERM"):
                logged_in(container, tmp_path, *refused)


def test_without_it_redis_answers_probes_and_nobody_else(engine: Engine, tmp_path: Path) -> None:
    """Redis would be open, or be restarted for ever because its probe cannot log in."""
    with redis_with(engine, tmp_path, "secret") as container:
        container.wait_for_log("Ready to accept connections")

        assert container.execute(*PROBE).startswith("NOAUTH")
        with pytest.raises(EngineError, match="NOAUTH"):
            container.execute("redis-cli", "-e", "GET", "mlapi:key")
        with pytest.raises(EngineError, match="WRONGPASS"):
            container.execute("sh", "-c", "REDISCLI_AUTH=wrong exec redis-cli -e PING")


def test_the_password_is_seen_nowhere_but_in_its_file(engine: Engine, tmp_path: Path) -> None:
    """Whoever can list processes, read the log or the configuration would have the password."""
    password = "d41d8cd98f00b204"
    with redis_with(engine, tmp_path, password) as container:
        log = container.wait_for_log("Ready to accept connections")
        process = container.execute("cat", "/proc/1/cmdline", "/proc/1/environ")
        rules = container.execute("cat", "/run/redis/users.acl")

        assert password not in log + process + rules
        assert password not in str(engine.inspect(container.name))


@pytest.mark.parametrize("password", ["", "\n", "\r\n\r\n"])
def test_an_empty_password_is_refused(engine: Engine, tmp_path: Path, password: str) -> None:
    """A Secret that was made without a value would leave Redis open to the empty password."""
    with (
        redis_with(engine, tmp_path, password) as container,
        pytest.raises(EngineError, match="the password in Secret redis-auth is empty"),
    ):
        container.wait_for_log("Ready to accept connections")
