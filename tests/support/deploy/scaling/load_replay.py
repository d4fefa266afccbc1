"""Replays recorded figures of one pod on as many pods as the autoscaler asks for."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.deploy.objects import quantity
from tests.support.deploy.scaling.hpa import SYNC_S, Autoscaler, Pod

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.deploy.objects import Object, Workload

RECORDED = Path(__file__).resolve().parents[3] / "deploy" / "data" / "one_pod.json"
READY_AFTER_S = 20.0
"""From a pod's creation to its readiness: scheduling, the gate, the start, the probe."""

BESIDE_REQUESTS = {"cpu": 0.1, "memory": 2.0**27}
"""Istio's default requests of a proxy: 100m and 128Mi."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one pod takes, as recorded.

    Attributes:
        idle_memory: Bytes, before the first request.
        used_memory: Bytes, the most that was ever used; it is not given back.
        idle_cpu: Cores, after the load.
        cpu_per_request: Core seconds of one request under load.
    """

    idle_memory: float
    used_memory: float
    idle_cpu: float
    cpu_per_request: float

    @classmethod
    def read(cls, path: Path = RECORDED) -> Figures:
        """Read the file that `bench/record_pod.py` wrote."""
        samples = json.loads(path.read_text(encoding="utf-8"))["samples"]
        phases = {
            name: [one for one in samples if one["phase"] == name] for name in ("idle", "load", "after")
        }
        costs = [one["cpu_cores"] / one["requests_per_s"] for one in phases["load"]]
        return cls(
            idle_memory=max(one["memory_bytes"] for one in phases["idle"]),
            used_memory=max(one["memory_bytes"] for one in samples),
            idle_cpu=statistics.median(one["cpu_cores"] for one in phases["after"]),
            cpu_per_request=statistics.median(costs),
        )


@dataclass(slots=True)
class Member:
    """One pod of the replay."""

    made: float
    used: bool = False


@dataclass(slots=True)
class Replay:
    """A workload under a load that its pods share.

    Attributes:
        workload: As rendered: its requests and limits count.
        container: The one that serves.
        scaler: The rendered HPA.
        figures: Of one pod.
        beside: CPU and memory of other containers in each pod, by name.
    """

    workload: Workload
    container: str
    scaler: Object
    figures: Figures
    beside: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def run(self, phases: list[tuple[float, float]]) -> list[list[int]]:
        """Return the numbers of pods, one list a phase, one number every 15 s.

        Args:
            phases: Seconds and requests per second of each, in order. It starts at the smallest number.
        """
        autoscaler = Autoscaler(self.scaler["spec"])
        members = [Member(-READY_AFTER_S) for _ in range(self.scaler["spec"]["minReplicas"])]
        now, history = 0.0, []
        for duration, requests in phases:
            counts = []
            for _ in range(round(duration / SYNC_S)):
                wanted = autoscaler.decide(now, self._pods(members, now, requests))
                members = [*members[:wanted], *(Member(now) for _ in range(wanted - len(members)))]
                counts.append(wanted)
                now += SYNC_S
            history.append(counts)
        return history

    def _pods(self, members: list[Member], now: float, requests: float) -> list[Pod]:
        ready = [one for one in members if now - one.made >= READY_AFTER_S]
        share = requests / len(ready)
        limit = quantity(self.resources["limits"]["cpu"])
        busy = min(limit, max(self.figures.idle_cpu, share * self.figures.cpu_per_request))
        pods = []
        for one in members:
            serving = now - one.made >= READY_AFTER_S
            one.used = one.used or (serving and requests > 0)
            memory = self.figures.used_memory if one.used else self.figures.idle_memory
            own = {"cpu": busy if serving else 0.0, "memory": memory}
            pods.append(Pod(serving, {self.container: own, **self.beside}, self._requests))
        return pods

    @property
    def resources(self) -> Object:
        """Requests and limits of the container that serves."""
        found: Object = next(one for one in self.workload.containers if one["name"] == self.container)
        return dict(found["resources"])

    @property
    def _requests(self) -> dict[str, Mapping[str, float]]:
        own = {name: quantity(value) for name, value in self.resources["requests"].items()}
        return {self.container: own, **dict.fromkeys(self.beside, BESIDE_REQUESTS)}
