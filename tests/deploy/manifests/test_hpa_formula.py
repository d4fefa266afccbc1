"""The autoscaler's algorithm, by the examples and rules of Kubernetes' documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploy.scaling.hpa import SYNC_S, Autoscaler, Pod, proposal

if TYPE_CHECKING:
    from tests.support.deploy.objects import Object

REQUESTS = {"app": {"cpu": 1.0, "memory": 100.0}}


def _pods(*cores: float, ready: bool = True, memory: float = 0.0) -> list[Pod]:
    return [Pod(ready, {"app": {"cpu": each, "memory": memory}}, REQUESTS) for each in cores]


def _cpu(percent: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {
        "type": "ContainerResource",
        "containerResource": {"name": "cpu", "container": "app", "target": target},
    }


def _memory(value: str) -> Object:
    target = {"type": "AverageValue", "averageValue": value}
    source = {"name": "memory", "container": "app", "target": target}
    return {"type": "ContainerResource", "containerResource": source}


def _autoscaler(**spec: Any) -> Autoscaler:
    return Autoscaler({"minReplicas": 1, "maxReplicas": 100, "metrics": [_cpu(50)], **spec})


@pytest.mark.parametrize(
    ("cores", "percent", "wanted"),
    [
        ((0.2, 0.2), 10, 4),  # twice the target doubles
        ((0.05, 0.05), 10, 1),  # half of it halves
        ((0.9,) * 50, 75, 60),  # 50 x 90 / 75
        ((0.75,) * 3, 50, 5),  # rounded up
        ((1.0, 0.5), 75, 2),  # the average counts
    ],
)
def test_the_ratio_of_use_to_target_decides(cores: tuple[float, ...], percent: int, wanted: int) -> None:
    """The simulation scales by another formula than the documentation's."""
    assert proposal(_cpu(percent), _pods(*cores)) == wanted


@pytest.mark.parametrize(("cores", "wanted"), [(0.55, 10), (0.45, 10), (0.56, 12), (0.44, 9)])
def test_a_tenth_around_the_target_changes_nothing(cores: float, wanted: int) -> None:
    """The simulation reacts to differences that the autoscaler leaves alone, or ignores larger ones."""
    assert proposal(_cpu(50), _pods(*[cores] * 10)) == wanted


def test_the_highest_of_the_metrics_counts() -> None:
    """One metric with room takes pods away that another one needs."""
    scaler = _autoscaler(metrics=[_cpu(50), _memory("100")])
    assert scaler.decide(0.0, _pods(0.1, 0.1, memory=200.0)) == 4


def test_pods_that_start_count_as_idle() -> None:
    """Pods that are not ready yet count as busy as the others, and a burst brings too many."""
    starting = _pods(0.0, 0.0, ready=False)
    assert proposal(_cpu(50), [*_pods(1.0, 1.0), *starting]) == 4
    assert proposal(_cpu(50), _pods(1.0, 1.0)) == 4
    assert proposal(_cpu(25), [*_pods(1.0, 1.0), *starting]) == 8
    assert proposal(_cpu(50), starting) == 2


def test_the_default_policies_double_or_add_four() -> None:
    """The simulation grows faster or slower than the autoscaler does without a behaviour."""
    scaler = _autoscaler()
    assert scaler.decide(0.0, _pods(50.0)) == 5
    assert scaler.decide(SYNC_S, _pods(*[50.0] * 5)) == 10


def test_policies_count_from_the_start_of_their_period() -> None:
    """Several steps within one period together exceed what its policy allows."""
    one_a_minute = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    scaler = _autoscaler(behavior={"scaleUp": one_a_minute})
    counts = []
    count = 1
    for step in range(9):
        count = scaler.decide(step * SYNC_S, _pods(*[50.0] * count))
        counts.append(count)
    assert counts == [2, 2, 2, 2, 3, 3, 3, 3, 4]


def test_the_least_policy_can_be_chosen() -> None:
    """`selectPolicy` is not obeyed."""
    policies = [
        {"type": "Pods", "value": 1, "periodSeconds": 60},
        {"type": "Percent", "value": 100, "periodSeconds": 60},
    ]
    for select, wanted in {"Min": 5, "Max": 8, "Disabled": 4}.items():
        scaler = _autoscaler(behavior={"scaleUp": {"policies": policies, "selectPolicy": select}})
        assert scaler.decide(0.0, _pods(*[50.0] * 4)) == wanted


def test_scaling_in_waits_for_its_window() -> None:
    """A short pause takes pods away, because earlier recommendations are forgotten."""
    scaler = _autoscaler()
    assert scaler.decide(0.0, _pods(*[0.5] * 4)) == 4
    later = [scaler.decide(now, _pods(*[0.0] * 4)) for now in (15.0, 150.0, 285.0, 300.0)]
    assert later == [4, 4, 4, 1]


def test_the_bounds_hold() -> None:
    """The number of pods leaves the range that the object states."""
    scaler = _autoscaler(minReplicas=2, maxReplicas=3)
    assert scaler.decide(0.0, _pods(50.0, 50.0)) == 3
    assert scaler.decide(1000.0, _pods(0.0, 0.0, 0.0)) == 2
