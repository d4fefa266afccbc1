"""The chain of times, from the client's connection to the last second of a pod."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi import FastAPI

from mlapi.server import CLOSE_S, KEEP_ALIVE_S, make_config
from mlapi.settings import Settings
from tests.support.deploy.cross_checks.settings import IMAGE_ENV, image_settings
from tests.support.deploy.cross_checks.times import proxy_config
from tests.support.deploy.kustomize import K8S
from tests.support.deploy.objects import find, of_kind, seconds, workloads

if TYPE_CHECKING:
    from tests.support.deploy.renders import Renders


def test_connections_close_at_the_mesh_first(renders: Renders) -> None:
    """The service closes an idle connection at the moment when the mesh sends a request over it."""
    pools = [
        rule["spec"]["trafficPolicy"]["connectionPool"]["http"]["idleTimeout"]
        for rule in of_kind(renders["prod"], "DestinationRule")
        if "connectionPool" in rule["spec"]["trafficPolicy"]
    ]
    assert len(pools) == 2
    assert all(seconds(pool) < KEEP_ALIVE_S for pool in pools)
    assert make_config(FastAPI(), drain_timeout=30.0).timeout_keep_alive == KEEP_ALIVE_S


def test_the_service_answers_before_the_route_gives_up(renders: Renders) -> None:
    """A client gets the gateway's 504 without a reason, or a bulk request is cut off."""
    routes = find(renders["prod"], "VirtualService", "mlapi")
    assert routes is not None
    settings = Settings()
    for route in routes["spec"]["http"]:
        bulk = route["name"].endswith("-bulk")
        deadline = settings.bulk_timeout_s if bulk else settings.predict_timeout_s
        assert deadline < seconds(route["timeout"]) < deadline + 60, route["name"]


def test_a_pod_ends_by_itself(renders: Renders) -> None:
    """Kubernetes kills a pod whose drain, which its settings allow, is still under way."""
    ends = {}
    for one, _, settings in image_settings(renders["prod"]):
        drain = settings.drain_grace_s + settings.drain_timeout_s
        ends[one.name] = (drain + CLOSE_S, one.spec["terminationGracePeriodSeconds"])
        assert seconds(proxy_config(one)["terminationDrainDuration"]) >= drain
    assert sorted(ends) == ["Deployment lab", "Deployment mlapi"]
    assert all(needed < given for needed, given in ends.values()), ends


def test_a_rollout_waits_for_the_gate_and_the_start(renders: Renders) -> None:
    """A rollout counts as failed while Redis is away and the gate still waits for it."""
    for one, container, settings in image_settings(renders["prod"]):
        probe = container["startupProbe"]
        start = probe["periodSeconds"] * probe["failureThreshold"]
        assert settings.wait_timeout_s + start < one.owner["spec"]["progressDeadlineSeconds"]


def test_no_pod_waits_in_a_hook(renders: Renders) -> None:
    """A preStop hook delays the drain, which has a grace of its own."""
    assert not [
        container["name"]
        for render in ("dev", "prod")
        for one in workloads(renders[render])
        for container in one.all_containers
        if "lifecycle" in container
    ]


def test_the_checks_know_what_the_image_sets() -> None:
    """The checks parse a pod's settings with other defaults than the image gives it."""
    dockerfile = (K8S.parent / "Dockerfile").read_text(encoding="utf-8")
    stated = dict(re.findall(r"\b(MLAPI_(?:HOST|PORT|MODEL))=(\S+)", dockerfile))
    assert stated == IMAGE_ENV
