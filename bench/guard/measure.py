"""The guard's measurement: the service, the plain pipeline and the constant route, in turns."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load.generator import closed_loop
from bench.load.messages import make_messages
from bench.load.request import Request
from bench.peers.catalogue import PEERS
from bench.peers.server import running
from bench.service.bench import interleaved, server_ms
from bench.service.cached import constant_route
from bench.service.servers import REPOSITORY
from bench.service.traffic import all_answered, single_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.load.result import Load
    from bench.service.servers import Server

MODEL = REPOSITORY / "models" / "starter"
PLAIN = PEERS["plain"]
CLIENTS = 32
CACHED_CLIENTS = 8
FIXED_TEXTS = 100
WARMUP_S = 0.5
MOST_DISTINCT_PER_S, MOST_CACHED_PER_S = 3_000, 20_000
"""More than a few cores answer of either kind."""


@dataclass(slots=True)
class Turns:
    """What the rounds gave, one number each.

    Attributes:
        per_s: By server, answered requests per second.
        cpu_ms: By server, CPU ms of all its processes per answered request.
    """

    per_s: dict[str, list[float]] = field(default_factory=dict)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)


def measure(service: Server, *, rounds: int, seconds: float) -> Turns:
    """Start the service and what it is compared with, let them take turns, and end them.

    Args:
        service: With the committed model, not started.
        rounds: Turns of each.
        seconds: Of one turn, after its warm-up.
    """
    count = round(rounds * (seconds + WARMUP_S) * MOST_DISTINCT_PER_S) + rounds * 10 * CLIENTS
    messages = make_messages(count, seed="guard")
    with (
        running(PLAIN, Path(sys.executable), MODEL) as plain,
        service,
        constant_route() as constant,
    ):
        # The same texts for both, each once: what one of them has seen does not help the other.
        texts = {"service": iter(messages), "plain": iter(messages)}
        fixed = [single_request(text) for text in make_messages(FIXED_TEXTS, seed="guard, repeats")]

        def distinct(name: str, port: int, pid: int, make: Callable[[str], Request]) -> Load:
            taken = itertools.islice(texts[name], count // rounds)
            return _load(port, pid, map(make, taken), clients=CLIENTS, seconds=seconds)

        def repeated(port: int, pid: int) -> Load:
            many = round((seconds + WARMUP_S) * MOST_CACHED_PER_S)
            requests = itertools.islice(itertools.cycle(fixed), many)
            return _load(port, pid, requests, clients=CACHED_CLIENTS, seconds=seconds)

        loads = interleaved(
            {
                "service": lambda: distinct("service", service.port, service.pid, single_request),
                "plain": lambda: distinct("plain", plain.port, plain.pid, PLAIN.request),
                "cached": lambda: repeated(service.port, service.pid),
                "constant": lambda: repeated(constant.port, constant.pid),
            },
            rounds=rounds,
        )
    return Turns(
        per_s={name: [load.requests_per_s for load in each] for name, each in loads.items()},
        cpu_ms={name: [server_ms(load) for load in each] for name, each in loads.items()},
    )


def _load(port: int, pid: int, requests: Iterable[Request], *, clients: int, seconds: float) -> Load:
    return all_answered(
        closed_loop(port, requests, clients=clients, seconds=seconds, warmup_s=WARMUP_S, pid=pid)
    )
