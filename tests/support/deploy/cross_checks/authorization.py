"""The mesh: its policies let through what is routed and scraped, and Redis stays outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.cross_checks.flow_table import flows, redis_host
from tests.support.deploy.cross_checks.routes import service_of
from tests.support.deploy.cross_checks.selectors import selected, services
from tests.support.deploy.cross_checks.settings import image_settings, own_containers
from tests.support.deploy.cross_checks.times import meshed
from tests.support.deploy.objects import name_of, of_kind, selects, workloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object, Workload

SCRAPED = "/metrics"
OPEN = frozenset({"PERMISSIVE", "DISABLE"})


def requests_authorised(objects: Sequence[Object]) -> list[str]:
    """Where a pod has authorization policies they let the gateway ask what is routed and all for metrics."""
    settings = {one.name: these for one, _, these in image_settings(objects)}
    known = {one.name: one for one in workloads(objects)}
    found = []
    for flow in sorted(flows(objects), key=str):
        policies = _about(objects, known.get(flow.target))
        if flow.source not in {"gateway", "prometheus"} or not policies:
            continue
        scraped = flow.source == "prometheus"
        path = SCRAPED if scraped else f"{settings[flow.target].prefix}/predict"
        rules = [rule for policy in policies for rule in policy["spec"].get("rules", [])]
        if not any(_allows(rule, flow.port, path, named=not scraped) for rule in rules):
            found.append(f"no AuthorizationPolicy allows {path} of {flow}")
    return found


def nothing_for_everyone(objects: Sequence[Object]) -> list[str]:
    """Only the metrics may be asked for without a name: every other rule says whom it lets in."""
    return [
        f"{name_of(policy)}: a rule without a source lets everyone ask for {paths}"
        for policy in of_kind(objects, "AuthorizationPolicy")
        for rule in policy["spec"].get("rules", [])
        if policy["spec"].get("action", "ALLOW") == "ALLOW" and not rule.get("from")
        for paths in [
            [path for to in rule.get("to", [{}]) for path in to.get("operation", {}).get("paths", ["*"])]
        ]
        if paths != [SCRAPED]
    ]


def scraped_in_the_clear(objects: Sequence[Object]) -> list[str]:
    """Prometheus, which has no certificate of the mesh, can reach the metrics of pods that ask for one."""
    known = {one.name: one for one in workloads(objects)}
    found = []
    for flow in sorted(flows(objects), key=str):
        if flow.source != "prometheus" or not meshed(objects, known[flow.target]):
            continue
        ports = [
            one["spec"].get("portLevelMtls", {}).get(str(flow.port), {}).get("mode")
            for one in of_kind(objects, "PeerAuthentication")
            if selects(one["spec"].get("selector", {}), known[flow.target].labels)
        ]
        if ports and not OPEN.intersection(ports):
            found.append(f"no PeerAuthentication opens port {flow.port} of {flow.target} to Prometheus")
    return found


def redis_outside_the_mesh(objects: Sequence[Object]) -> list[str]:
    """A pod with a proxy knows that Redis has none, or it would speak mutual TLS to it."""
    plain = {
        service_of(rule["spec"]["host"])
        for rule in of_kind(objects, "DestinationRule")
        if rule["spec"].get("trafficPolicy", {}).get("tls", {}).get("mode") == "DISABLE"
    }
    found = []
    for one, _, variables in own_containers(objects):
        host = service_of((redis_host(variables) or ("",))[0])
        service = services(objects).get(host)
        if service is None or not meshed(objects, one):
            continue
        if any(meshed(objects, pod) for pod in selected(objects, service)):
            found.append(f'Redis ({host}) gets a proxy: label its pods sidecar.istio.io/inject: "false"')
        elif host not in plain:
            found.append(f"{one.name}: no DestinationRule says tls mode DISABLE for {host}")
    return sorted(set(found))


def _about(objects: Sequence[Object], one: Workload | None) -> list[Object]:
    return [
        policy
        for policy in of_kind(objects, "AuthorizationPolicy")
        if one is not None and selects(policy["spec"].get("selector", {}), one.labels)
    ]


def _allows(rule: Object, port: int, path: str, *, named: bool) -> bool:
    if bool(rule.get("from")) != named:
        return False
    return any(
        str(port) in (operation := to["operation"]).get("ports", [str(port)])
        and any(_covers(pattern, path) for pattern in operation.get("paths", ["*"]))
        for to in rule.get("to", [])
    )


def _covers(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else pattern == path
