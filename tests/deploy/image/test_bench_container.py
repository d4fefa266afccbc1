"""bench/container.py measures what it says: bodies as large as allowed, memory as the kernel counts it."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from bench import container, container_load
from bench.container_memory import CGROUPS, MemoryWatch
from mlapi.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.engine import Engine


class Recorder:
    """A server that keeps what it is sent.

    Attributes:
        port: Its TCP port.
        bodies: Of every POST.
        paths: Of every request.
    """

    def __init__(self) -> None:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                recorder.paths.append(self.path)
                if length := int(self.headers.get("Content-Length", "0")):
                    recorder.bodies.append(self.rfile.read(length))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
                """Say nothing on the test's terminal."""

        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A running recorder."""
    recording = Recorder()
    thread = threading.Thread(target=recording.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield recording
    recording.server.shutdown()
    recording.server.server_close()
    thread.join()


def test_the_largest_bulk_request_is_as_large_as_the_limits_let_it_be(recorder: Recorder) -> None:
    """If it fails, memory is measured under less than what a client may send, or under a refusal."""
    assert container_load.largest_bulk(recorder.port) == {200: 1}
    (body,) = recorder.bodies
    limits = Settings()
    texts = json.loads(body)["text"]
    assert len(texts) == len(set(texts)) == limits.bulk_max_texts
    assert 0.99 * limits.bulk_max_bytes < len(body) <= limits.bulk_max_bytes


def test_the_cache_is_filled_with_as_many_texts_as_it_holds(recorder: Recorder) -> None:
    """If it fails, a cache that is half empty is measured as a full one."""
    container_load.fill_cache(recorder.port)
    texts = [text for body in recorder.bodies for text in json.loads(body)["text"]]
    assert len(set(texts)) == Settings().cache_entries


def test_the_longest_texts_are_beyond_what_the_model_takes(recorder: Recorder) -> None:
    """If it fails, batches are smaller than they can be."""
    container_load.longest_texts(recorder.port)
    texts = [text for body in recorder.bodies for text in json.loads(body)["text"]]
    assert min(len(text.split()) for text in texts) > 512
    assert len(set(texts)) == len(texts)


def test_probes_count_while_they_ask(recorder: Recorder) -> None:
    """If it fails, the slowest probe is one that was never sent."""
    with container_load.Probes(recorder.port) as probes:
        while len(recorder.paths) < 2:
            pass
    assert probes.slowest_s > 0
    assert probes.failed == 0
    assert set(recorder.paths) == {"/project/health", "/project/health/live"}


def test_a_probe_that_is_not_answered_is_counted(recorder: Recorder) -> None:
    """If it fails, a service that answers no probe at all has the best of figures."""
    recorder.server.server_close()
    recorder.server.shutdown()
    with container_load.Probes(recorder.port) as probes:
        while not probes.failed:
            pass
    assert probes.failed > 0


@pytest.mark.skipif(not CGROUPS.is_dir(), reason="reads cgroups")
def test_memory_is_that_of_the_cgroup_and_of_the_process() -> None:
    """If it fails, the sizes of the pods are made of other numbers than the kernel's."""
    try:
        watch = MemoryWatch(os.getpid())
        before = watch.now()
    except OSError as error:
        pytest.skip(f"the cgroup of this process cannot be read from here: {error}")
    with watch:
        ballast = bytearray(os.urandom(1 << 20)) * 100
        _, peak, resident = watch.now()
    assert len(ballast) == 100 << 20
    assert peak >= before[1]
    assert resident > before[2] + 90


@pytest.mark.container
def test_layers_add_up_to_what_the_engine_says(engine: Engine, image: str) -> None:
    """If it fails, the sizes in the documentation are not those of the image."""
    sizes = dict(container.layers(image))
    whole, base = (engine.inspect(name)["Size"] for name in (image, container.BASE))
    assert sizes["models"] > 20
    assert sizes["all without the models"] + sizes["models"] == pytest.approx((whole - base) / 1e6, rel=0.01)
