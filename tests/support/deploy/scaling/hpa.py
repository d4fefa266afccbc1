"""The HorizontalPodAutoscaler's published algorithm, run on figures instead of a cluster.

https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm details, configurable
scaling behaviour), for metrics of resources: `Resource` and `ContainerResource`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.deploy.objects import Object, quantity

SYNC_S = 15.0
TOLERANCE = 0.1
MAX_WINDOW_S = 3600.0
DEFAULTS: dict[str, Object] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [
            {"type": "Percent", "value": 100, "periodSeconds": 15},
            {"type": "Pods", "value": 4, "periodSeconds": 15},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
}
"""What holds where `behavior` says nothing."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod as the autoscaler sees it.

    Attributes:
        ready: Whether it is ready.
        usage: CPU in cores and memory in bytes, by container and resource.
        requests: The same of its requests.
    """

    ready: bool
    usage: Mapping[str, Mapping[str, float]]
    requests: Mapping[str, Mapping[str, float]]


@dataclass(slots=True)
class Autoscaler:
    """An HPA object and what its controller remembers.

    Attributes:
        spec: Of the object.
        recommendations: When, and how many, before stabilisation.
        changes: When, and by how many pods the number changed.
    """

    spec: Object
    recommendations: list[tuple[float, int]] = field(default_factory=list)
    changes: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, pods: Sequence[Pod]) -> int:
        """Return the number of pods that there should be.

        Args:
            now: Seconds since some beginning; calls must come in order.
            pods: Those that there are, ready or not.
        """
        current = len(pods)
        wanted = max(proposal(metric, pods) for metric in self.spec["metrics"])
        self.recommendations = [one for one in self.recommendations if now - one[0] <= MAX_WINDOW_S]
        self.recommendations.append((now, wanted))
        decided = self._limited(now, current, self._stabilised(now, current))
        smallest, largest = int(self.spec.get("minReplicas", 1)), int(self.spec["maxReplicas"])
        decided = min(max(decided, smallest), largest)
        if decided != current:
            self.changes.append((now, decided - current))
        return decided

    def _stabilised(self, now: float, current: int) -> int:
        """Return the most cautious recommendation of each direction's window."""
        up, down = self._rules("scaleUp"), self._rules("scaleDown")
        highest = min(self._since(now - up["stabilizationWindowSeconds"]))
        lowest = max(self._since(now - down["stabilizationWindowSeconds"]))
        return min(max(current, highest), lowest)

    def _since(self, start: float) -> list[int]:
        recent = [wanted for when, wanted in self.recommendations if when > start]
        return recent or [self.recommendations[-1][1]]

    def _limited(self, now: float, current: int, wanted: int) -> int:
        """Return what the policies allow of a change."""
        if wanted == current:
            return current
        rules = self._rules("scaleUp" if wanted > current else "scaleDown")
        select = rules.get("selectPolicy", "Max")
        if select == "Disabled":
            return current
        rising = wanted > current
        limits = [self._limit(now, current, policy, rising=rising) for policy in rules["policies"]]
        widest = max if rising == (select == "Max") else min
        return min(wanted, widest(limits)) if rising else max(wanted, widest(limits))

    def _limit(self, now: float, current: int, policy: Object, *, rising: bool) -> int:
        """Return how far one policy lets the number go, counted from that at the start of its period."""
        changed = sum(delta for when, delta in self.changes if when > now - policy["periodSeconds"])
        start, value = current - changed, int(policy["value"])
        if policy["type"] == "Pods":
            return start + value if rising else start - value
        factor = 1 + value / 100 if rising else 1 - value / 100
        return math.ceil(round(start * factor, 9)) if rising else math.floor(round(start * factor, 9))

    def _rules(self, direction: Literal["scaleUp", "scaleDown"]) -> dict[str, Any]:
        return {**DEFAULTS[direction], **self.spec.get("behavior", {}).get(direction, {})}


def proposal(metric: Object, pods: Sequence[Pod]) -> int:
    """Return the number of pods that one metric asks for.

    Pods that are not ready are set aside for CPU; where the rest ask for more, they count as idle.
    """
    source = metric.get("containerResource") or metric["resource"]
    set_aside = [one for one in pods if source["name"] == "cpu" and not one.ready]
    counted = [one for one in pods if one not in set_aside]
    if not counted:
        return len(pods)
    ratio = _ratio(source, counted)
    if ratio > 1 and set_aside:
        damped = _ratio(source, counted, idle=set_aside)
        if damped <= 1:
            return len(pods)
        ratio, counted = damped, [*counted, *set_aside]
    if abs(ratio - 1) <= TOLERANCE:
        return len(pods)
    proposed = math.ceil(round(ratio * len(counted), 9))
    reverses = proposed < len(pods) if ratio > 1 else proposed > len(pods)
    return len(pods) if reverses else proposed


def _ratio(source: Object, counted: Sequence[Pod], idle: Sequence[Pod] = ()) -> float:
    """Return the mean of what is used over the target."""
    used = sum(_of(source, one.usage) for one in counted)
    target = source["target"]
    if target["type"] == "Utilization":
        requested = sum(_of(source, one.requests) for one in [*counted, *idle])
        return used / requested * 100 / float(target["averageUtilization"])
    return used / (len(counted) + len(idle)) / quantity(target["averageValue"])


def _of(source: Object, figures: Mapping[str, Mapping[str, float]]) -> float:
    """Return a pod's figure: of the container that the metric names, or of all together."""
    if "container" in source:
        return figures[source["container"]][source["name"]]
    return sum(one[source["name"]] for one in figures.values())
