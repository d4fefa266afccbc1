"""What engines do with the threads and CPUs of a real process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.http_server import ServerProcess, wait_until
from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STARTER = Path(__file__).parents[2] / "models" / "starter"

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads /proc")

WATCH = """
import sys
from pathlib import Path
from mlapi.engines.factory import load_classifier

classifier = load_classifier(Path(sys.argv[1]), variant=sys.argv[2], threads=int(sys.argv[3]))
encodings = classifier.encode(["a great film and lovely music"] * 64)
for _ in range(20):
    classifier.classify(encodings)
allowed = set()
threads = 0
for status in Path("/proc/self/task").glob("*/status"):
    threads += 1
    lines = status.read_text().splitlines()
    allowed |= {line.split()[1] for line in lines if line.startswith("Cpus_allowed_list")}
print(threads, *allowed)
"""


@pytest.mark.parametrize("variant", ["onnx-fp32", "openvino-fp32"])
def test_engines_pin_no_thread(tmp_path: Path, variant: str) -> None:
    """If it fails, several workers on one machine all compute on the same CPUs."""
    model = make_tiny_model(tmp_path / "model", variants={variant: 0.0}).path
    cpus = len(os.sched_getaffinity(0))
    command = [sys.executable, "-c", WATCH, str(model), variant, str(max(2, cpus))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    threads, *allowed = done.stdout.split()
    assert int(threads) > 1
    assert len(allowed) == 1, f"threads may run on {allowed}"


WHERE_IT_IS_COMPUTED = """
import os, sys
from pathlib import Path
from threading import Thread

os.sched_setaffinity(0, set(map(int, sys.argv[2:])))
from mlapi.engines.openvino import OpenVinoEngine

def used(thread):
    return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[0])

def all_used():
    return sum(used(task.name) for task in Path("/proc/self/task").iterdir())

engine = OpenVinoEngine(Path(sys.argv[1]), threads=2, pad_id=0)
found = engine.find_threads()
before, all_before = [used(thread) for thread in found], all_used()

def call():
    for _ in range(10):
        engine.infer_beside([list(range(5, 133))] * 16)

callers = [Thread(target=call) for _ in range(2)]
for caller in callers:
    caller.start()
for caller in callers:
    caller.join()
whole = all_used() - all_before
print(*((used(thread) - start) / whole for thread, start in zip(found, before)))
"""


def test_calls_are_computed_in_the_threads_that_were_found() -> None:
    """If it fails, threads get CPUs of their own for nothing, and the work waits for other work."""
    graph = STARTER / "onnx" / "model.int8.onnx"
    command = [sys.executable, "-c", WHERE_IT_IS_COMPUTED, str(graph), *map(str, _two_cpus())]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    shares = [float(share) for share in done.stdout.split()]
    assert len(shares) == 2
    assert sum(shares) > 0.9, "of the process's CPU time"
    assert min(shares) > 0.1, "both callers had one at first"


def test_calls_beside_each_other_run_on_cpus_of_their_own() -> None:
    """If it fails, both wait for one CPU while the other idles: a tenth of what the service could do."""
    cpus = _two_cpus()
    service = ServerProcess(STARTER, environment={"MLAPI_THREADS": "2", "MLAPI_VARIANT": "openvino-int8"})
    enough = threading.Event()
    with _started_on(cpus, service) as server, ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(_ask, server, client, enough=enough.is_set) for client in range(8)]
        try:
            wait_until(lambda: _bound(server) == cpus)
            wait_until(lambda: len(_allowed(server)[server.pid]) == 1)  # the event loop's thread
            seen = [tuple(_running(server, _busiest(server))) for _ in range(300)]
        finally:
            enough.set()
        for one in asked:
            one.result()
        wait_until(lambda: _allowed(server)[server.pid] == cpus)
    bound = [len(allowed) == 1 for some in seen for allowed in some]
    assert sum(bound) > 0.2 * len(bound) > 20, "a call is bound once another begins or ends beside it"


def _busiest(server: ServerProcess) -> list[int]:
    """Return the two threads beside the event loop's that used the CPU most."""
    tasks = Path(f"/proc/{server.pid}/task")
    used = {int(task.name): int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()}
    return sorted(used.keys() - {server.pid}, key=lambda thread: -used[thread])[:2]


def _running(server: ServerProcess, threads: list[int]) -> Iterator[set[int]]:
    """Yield on which CPUs those of the threads that run may do so. Takes a while."""
    time.sleep(0.003)
    for thread in threads:
        if Path(f"/proc/{server.pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()[0] == "R":
            yield os.sched_getaffinity(thread)


def test_workers_leave_the_choice_of_cpus_to_the_kernel() -> None:
    """If it fails, each has its first call on the same CPU."""
    environment = {"MLAPI_WORKERS": "2", "MLAPI_THREADS": "2", "MLAPI_VARIANT": "openvino-int8"}
    with (
        _started_on(_two_cpus(), ServerProcess(STARTER, environment=environment)) as server,
        ThreadPoolExecutor(8) as clients,
    ):
        wait_until(lambda: server.log.count("ready: model") == 2)
        end = time.monotonic() + 2
        asked = [
            clients.submit(_ask, server, client, enough=lambda: time.monotonic() > end) for client in range(8)
        ]
        while time.monotonic() < end:
            assert not _bound(server)
            time.sleep(0.01)
        for one in asked:
            one.result()


def _two_cpus() -> set[int]:
    cpus = set(sorted(os.sched_getaffinity(0))[:2])
    if len(cpus) == 1:
        pytest.skip("needs two CPUs")
    return cpus


@contextmanager
def _started_on(cpus: set[int], server: ServerProcess) -> Iterator[ServerProcess]:
    """Run a server that may use these CPUs alone; it inherits them."""
    before = os.sched_getaffinity(0)
    with ExitStack() as stack:
        os.sched_setaffinity(0, cpus)
        try:
            stack.enter_context(server)
        finally:
            os.sched_setaffinity(0, before)
        yield server


def _ask(server: ServerProcess, client: int, *, enough: Callable[[], bool]) -> None:
    """Ask for one text after another, of which none was asked for before."""
    for number in count():
        if enough():
            return
        text = f"text {number} of client {client} " + "is long enough to take a while " * 8
        assert server.client.post("/predict", json={"text": text}).status_code == 200


def _bound(server: ServerProcess) -> set[int]:
    """Return the CPUs that a thread of the service other than an event loop's is bound to."""
    allowed = _allowed(server)
    return set().union(*(cpus for thread, cpus in allowed.items() if len(cpus) == 1 and thread != server.pid))


def _allowed(server: ServerProcess) -> dict[int, set[int]]:
    """Return the CPUs on which each thread of a server and of its workers may run."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    found = {}
    for process in (server.pid, *children):
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(ProcessLookupError):  # the thread ended meanwhile
                found[int(task.name)] = os.sched_getaffinity(int(task.name))
    return found
