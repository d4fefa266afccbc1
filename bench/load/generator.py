"""Load a server on this machine and count what comes back.

Each run has a process of its own, so that its CPU time is known and nothing else holds up its event loop. It
keeps the CPU affinity of the caller.
"""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load.result import Load
from bench.load.worker import ClosedJob, OpenJob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.load.open_loop import Arrivals
    from bench.load.request import Request

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_CONNECTIONS = 512
"""`select` takes file numbers below 1024."""


class LoadError(Exception):
    """The load could not be made: nothing listens, or there are too few requests."""


def closed_loop(
    port: int,
    requests: Iterable[Request],
    *,
    clients: int,
    seconds: float | None,
    warmup_s: float = 0.0,
    pid: int | None = None,
    timeout_s: float = 60.0,
) -> Load:
    """Keep so many clients busy, each with one connection and one request under way.

    Args:
        port: Of the server, on 127.0.0.1.
        requests: Sent in this order, each once.
        clients: How many.
        seconds: Length of the window; None: until every request is answered.
        warmup_s: Seconds of the same load before the window, which count for nothing.
        pid: The server's process, whose CPU time is to be known.
        timeout_s: Longest wait for one answer.

    Raises:
        LoadError: Nothing listens there, or the requests were not enough for the time.
    """
    return _run(ClosedJob(port, list(requests), clients, seconds, warmup_s, pid, timeout_s))


def open_loop(
    port: int,
    requests: Iterable[Request],
    *,
    rate: float,
    seconds: float,
    pid: int | None = None,
    arrivals: Arrivals = "even",
    seed: int = 0,
    connections: int = 256,
    timeout_s: float = 60.0,
) -> Load:
    """Send requests at a fixed rate, whether or not earlier ones are answered.

    The latency of each counts from the time when it was due, so a wait for a connection or for the generator
    is part of it. What is due while all connections are busy is dropped, and counted.

    Args:
        port: Of the server, on 127.0.0.1.
        requests: Sent in this order, each once; `rate` x `seconds` of them are taken.
        rate: Requests per second.
        seconds: Length of the window; the last answers are waited for after it.
        pid: The server's process, whose CPU time is to be known.
        arrivals: `even`, or `poisson` as by many independent users; see `due_times`.
        seed: Of the arrivals; the same seed gives the same times.
        connections: How many may be open, at most `MOST_CONNECTIONS`.
        timeout_s: Longest wait for one answer, from when it was due.

    Raises:
        LoadError: Nothing listens there, or the requests are not enough.
        ValueError: Too many connections.
    """
    if not 0 < connections <= MOST_CONNECTIONS:
        raise ValueError(f"connections must be 1 to {MOST_CONNECTIONS}, not {connections}")
    count = round(rate * seconds)
    taken = list(itertools.islice(requests, count))
    if len(taken) < count:
        raise LoadError(f"{count} requests are needed for {seconds:g} s at {rate:g} /s, not {len(taken)}")
    return _run(OpenJob(port, taken, seconds, arrivals, seed, pid, connections, timeout_s))


def _run(job: ClosedJob | OpenJob) -> Load:
    done = subprocess.run(
        [sys.executable, "-m", "bench.load.worker"],
        cwd=REPOSITORY,
        input=pickle.dumps(job),
        capture_output=True,
        check=False,
        start_new_session=True,  # Ctrl-C is for the caller, who then ends this process
    )
    if done.returncode != 0:
        raise LoadError(f"the load generator failed: {done.stderr.decode(errors='replace').strip()}")
    result: Load | str = pickle.loads(done.stdout)  # noqa: S301 - written by our own process
    if isinstance(result, str):
        raise LoadError(f"127.0.0.1:{job.port}: {result}")
    return result
