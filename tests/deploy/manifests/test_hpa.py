"""The rendered autoscalers on recorded figures: two pods become ten under load, and two again after it."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.objects import find, quantity, workloads
from tests.support.deploy.scaling.load_replay import RECORDED, Figures, Replay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.deploy.objects import Object
    from tests.support.deploy.renders import Renders

RECORDED_LAB = RECORDED.with_name("one_lab_pod.json")
SIZING = 1.2
"""The memory request over what was measured."""

TARGET = 0.7
"""Of the CPU request, at which the autoscaler aims."""

LOAD_S, AFTER_S = 900.0, 1800.0
SIDECAR = {"istio-proxy": {"cpu": 0.01, "memory": 60e6}}


@pytest.fixture
def replay(renders: Renders) -> Replay:
    """The API of the overlay prod, under its own autoscaler."""
    return _replay(renders["prod"], "mlapi")


def _replay(objects: Sequence[Object], name: str, recorded: Path = RECORDED) -> Replay:
    scaler = find(objects, "HorizontalPodAutoscaler", name)
    assert scaler is not None
    workload = next(one for one in workloads(objects) if one.name == f"Deployment {name}")
    replay = Replay(workload, name, copy.deepcopy(scaler), Figures.read(recorded))
    # Sizes follow the most that a container was measured to use: what is sized for is replayed.
    sized = quantity(replay.resources["requests"]["memory"]) / SIZING
    replay.figures = replace(replay.figures, used_memory=max(replay.figures.used_memory, sized))
    return replay


def _enough_for(pods: float, replay: Replay) -> float:
    """Return the requests per second that keep so many pods at the autoscaler's target."""
    cores = TARGET * quantity(replay.resources["requests"]["cpu"])
    return pods * cores / replay.figures.cpu_per_request


def test_two_pods_become_ten_and_two_again(replay: Replay) -> None:
    """Load does not bring the largest number of pods, or they stay when it is gone, and cost money."""
    before, load, after = replay.run([(300.0, 0.0), (LOAD_S, _enough_for(10, replay)), (AFTER_S, 0.0)])
    assert set(before) == {2}
    assert (load[-1], max(load)) == (10, 10)
    assert after[-1] == 2


def test_pods_come_fast_and_go_slowly(replay: Replay) -> None:
    """A burst waits minutes for pods, or a pause of a few minutes takes them away before the next burst."""
    load, after = replay.run([(LOAD_S, _enough_for(10, replay)), (AFTER_S, 0.0)])
    assert load.index(10) * 15 <= 120
    assert sorted(load) == load
    assert after[: 300 // 15 - 1] == [10] * (300 // 15 - 1)
    steps = [one - other for one, other in pairwise(after)]
    assert set(steps) == {0, 1}
    assert sorted(after, reverse=True) == after


def test_a_pause_takes_no_pod_away(replay: Replay) -> None:
    """Load that comes and goes every few minutes makes pods come and go with it."""
    busy = (180.0, _enough_for(10, replay))
    _, *rest = replay.run([(LOAD_S, busy[1]), (180.0, 0.0), busy, (180.0, 0.0), busy])
    assert {count for phase in rest for count in phase} == {10}


def test_more_load_than_ten_pods_take_brings_ten(replay: Replay) -> None:
    """A flood of requests brings more pods than there is money or room for."""
    (load,) = replay.run([(LOAD_S, _enough_for(100, replay))])
    assert max(load) == 10


def test_a_memory_target_near_what_pods_keep_holds_them(replay: Replay) -> None:
    """The test of scaling in cannot fail: with a target of what a used pod keeps, ten pods must stay."""
    target = replay.scaler["spec"]["metrics"][1]["containerResource"]["target"]
    target["averageValue"] = f"{round(replay.figures.used_memory / 2**20)}Mi"
    *_, after = replay.run([(LOAD_S, _enough_for(10, replay)), (AFTER_S, 0.0)])
    assert after[-1] == 10


def test_the_memory_target_leaves_room_above_what_pods_keep(replay: Replay) -> None:
    """What pods keep after the longest texts holds one too many of them: three would never become two."""
    target = replay.scaler["spec"]["metrics"][1]["containerResource"]["target"]
    assert quantity(target["averageValue"]) >= 1.5 * replay.figures.used_memory


def test_a_sidecar_does_not_dilute_the_load(replay: Replay) -> None:
    """Pods with a proxy that idles count as less busy than they are, and too few of them are made."""
    beside = replace(replay, beside=SIDECAR)
    requests = _enough_for(2.3, replay)
    assert beside.run([(LOAD_S, requests)])[0][-1] == 3
    assert beside.run([(LOAD_S, _enough_for(10, replay))])[0][-1] == 10
    metric = beside.scaler["spec"]["metrics"][0]
    whole = {key: value for key, value in metric.pop("containerResource").items() if key != "container"}
    metric |= {"type": "Resource", "resource": whole}
    assert beside.run([(LOAD_S, requests)])[0][-1] == 2


def test_the_lab_scales_between_two_and_four(renders: Renders) -> None:
    """The lab gets as many pods as the API, or never more than it starts with."""
    replay = _replay(renders["prod"], "lab", RECORDED_LAB)
    load, after = replay.run([(LOAD_S, _enough_for(10, replay)), (AFTER_S, 0.0)])
    assert (load[-1], after[-1]) == (4, 2)
