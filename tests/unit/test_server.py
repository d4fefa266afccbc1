"""The listening socket and the way out. Drains under traffic are tested over HTTP."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mlapi.errors import ConfigurationError
from mlapi.server import bind
from tests.support.http_server import HOST, REPOSITORY, clean_environment

SLOW_START = """
import sys, time
from mlapi.main import create_app
from mlapi.server import Server, bind, make_config, run
from mlapi.settings import Settings
app = create_app(Settings(redis_url="memory://"), classifier=lambda: time.sleep(60))
server = Server(make_config(app, drain_timeout=1), serving=app.state.serving, grace=0)
listener = bind("127.0.0.1", 0)
print("up", flush=True)
sys.exit(run(app, listener, server))
"""


def test_a_port_is_given_to_one_process_only() -> None:
    """Two services on one port would both say that they listen, and one never get a request."""
    first = bind(HOST, 0)
    with first, pytest.raises(ConfigurationError, match="--port"):
        bind(HOST, first.getsockname()[1])


def test_a_process_that_still_loads_ends_when_told() -> None:
    """A rollout that is taken back would wait for the model of every new pod to be loaded first."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_START],
        cwd=REPOSITORY,
        env=clean_environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        time.sleep(1)  # the load begins; were it not to, the test would pass all the same
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
