"""Network policies against the connections that are needed: both ends let each through, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tests.support.deploy.cross_checks.flow_table import (
    Flow,
    asked_services,
    flows,
    foreseen,
    gateway_namespace,
)
from tests.support.deploy.cross_checks.ports import number_of, target_of
from tests.support.deploy.cross_checks.selectors import selected
from tests.support.deploy.cross_checks.times import meshed, proxy_config
from tests.support.deploy.objects import name_of, of_kind, selects, workloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object, Workload

ADDRESSES = frozenset({"Redis outside", "Kubernetes API"})
"""What is known by its address alone."""

WELL_KNOWN = {"DNS": {"k8s-app": "kube-dns"}, "mesh control plane": {"app": "istiod"}}
"""Labels of pods that are the same in every cluster."""

Direction = Literal["ingress", "egress"]
KINDS: tuple[Direction, ...] = ("ingress", "egress")
POLICY_TYPE = {"ingress": "Ingress", "egress": "Egress"}
PEERS = {"ingress": "from", "egress": "to"}
EVERYWHERE = "0.0.0.0/0"
NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Ends:
    """Who can stand at an end of a connection.

    Attributes:
        here: The workloads, by name.
        gateway: The gateway's namespace, where it is known.
    """

    here: dict[str, Workload]
    gateway: str | None

    @classmethod
    def of(cls, objects: Sequence[Object]) -> Ends:
        """Read them from the objects."""
        return cls({one.name: one for one in workloads(objects)}, gateway_namespace(objects))


def flows_allowed(objects: Sequence[Object]) -> list[str]:
    """Where there are network policies, they let every needed connection through, at both ends."""
    ends = Ends.of(objects)
    return [
        f"no network policy allows the {direction} of {flow}"
        for flow in sorted(flows(objects), key=str)
        for direction in KINDS
        if not _allowed(objects, ends, flow, direction)
    ]


def denied_by_default(objects: Sequence[Object]) -> list[str]:
    """Where network policies are about Deployments, one closes every pod, also those that come later."""
    if not any(_closed(objects, one, kind) for one in deployments(objects) for kind in KINDS):
        return []
    specs = [one["spec"] for one in of_kind(objects, "NetworkPolicy") if not one["spec"].get("podSelector")]
    closed = {kind for spec in specs if not spec.keys() & set(KINDS) for kind in spec.get("policyTypes", [])}
    return [
        f"no network policy closes all pods for {kind}" for kind in KINDS if POLICY_TYPE[kind] not in closed
    ]


def nothing_more_allowed(objects: Sequence[Object]) -> list[str]:
    """Every port and every peer of a network policy serve a connection that is needed; the rest is a hole."""
    ends = Ends.of(objects)
    needed = flows(objects) | foreseen(objects)
    found = []
    for policy in of_kind(objects, "NetworkPolicy"):
        for direction in KINDS:
            for number, rule in enumerate(policy["spec"].get(direction, [])):
                place = f"{name_of(policy)}, {direction} {number}"
                if not rule.get("ports"):
                    found.append(f"{place}: every port")
                found += [
                    f"{place}: nothing needs {part}"
                    for part in _parts(rule, direction)
                    if not any(_rule_allows(policy, part, ends, flow, direction) for flow in needed)
                ]
    return found


def same_ports(objects: Sequence[Object]) -> list[str]:
    """A Service that pods are let through to has their port: some plug-ins compare the one with the other."""
    return [
        f"{name_of(service)}: its port {port['port']} must be that of {one.name}, {number}"
        for service in asked_services(objects)
        for port in service["spec"]["ports"]
        for one in selected(objects, service)
        if of_kind(objects, "NetworkPolicy")
        and (number := number_of(one, target_of(port))) not in {None, port["port"]}
    ]


def platform_unasked(objects: Sequence[Object]) -> list[str]:
    """No proxy asks the node's metadata where it runs: no policy lets that through, so it would wait."""
    return [
        f"{one.name}: its proxy needs proxyMetadata CLOUD_PLATFORM: none"
        for one in workloads(objects)
        if meshed(objects, one)
        and _closed(objects, one, "egress")
        and proxy_config(one).get("proxyMetadata", {}).get("CLOUD_PLATFORM") != "none"
    ]


def _parts(rule: Object, direction: Direction) -> list[Object]:
    """Return a rule for each of its ports and peers; no peer at all means every address."""
    peers = rule.get(PEERS[direction]) or [{"ipBlock": {"cidr": EVERYWHERE}}]
    return [{"ports": [port], PEERS[direction]: [peer]} for port in rule.get("ports", []) for peer in peers]


def deployments(objects: Sequence[Object]) -> list[Workload]:
    """Return the workloads that run on."""
    return [one for one in workloads(objects) if one.owner["kind"] == "Deployment"]


def _closed(objects: Sequence[Object], one: Workload, direction: Direction) -> bool:
    """Whether any policy selects the pod in that direction: only then is anything refused."""
    return any(
        POLICY_TYPE[direction] in policy["spec"].get("policyTypes", ["Ingress"])
        and selects(policy["spec"].get("podSelector", {}), one.labels)
        for policy in of_kind(objects, "NetworkPolicy")
    )


def _allowed(objects: Sequence[Object], ends: Ends, flow: Flow, direction: Direction) -> bool:
    own = flow.source if direction == "egress" else flow.target
    if own not in ends.here or not _closed(objects, ends.here[own], direction):
        return True
    return any(
        _rule_allows(policy, rule, ends, flow, direction)
        for policy in of_kind(objects, "NetworkPolicy")
        for rule in policy["spec"].get(direction, [])
    )


def _rule_allows(policy: Object, rule: Object, ends: Ends, flow: Flow, direction: Direction) -> bool:
    own, other = (flow.source, flow.target) if direction == "egress" else (flow.target, flow.source)
    if own not in ends.here or not selects(policy["spec"].get("podSelector", {}), ends.here[own].labels):
        return False
    if not any(_port_fits(port, flow, ends.here.get(flow.target)) for port in rule.get("ports", [{}])):
        return False
    peers = rule.get(PEERS[direction])
    if not peers:
        return True
    return any(_peer_fits(peer, other, ends) for peer in peers)


def _port_fits(port: Object, flow: Flow, target: Workload | None) -> bool:
    if port.get("protocol", "TCP") != flow.protocol:
        return False
    stated = port.get("port", flow.port)
    if isinstance(stated, str):
        return target is not None and target.ports().get(stated) == flow.port
    first = int(stated or 0)
    return first <= flow.port <= int(port.get("endPort") or first)


def _peer_fits(peer: Object, other: str, ends: Ends) -> bool:
    """Whether a peer of a rule is the other end."""
    pods = peer.get("podSelector", {})
    if other in ends.here:
        inside = "namespaceSelector" not in peer and "ipBlock" not in peer
        return inside and selects(pods, ends.here[other].labels)
    if "ipBlock" in peer:
        everywhere = peer["ipBlock"]["cidr"] == EVERYWHERE and not peer["ipBlock"].get("except")
        return everywhere if other == "anyone" else other in ADDRESSES
    if "namespaceSelector" not in peer:
        return False
    if other in WELL_KNOWN:
        return bool(pods) and selects(pods, WELL_KNOWN[other])
    space = peer["namespaceSelector"].get("matchLabels", {}).get(NAMESPACE_NAME)
    if other == "gateway":
        return space is not None and ends.gateway in {space, None}
    return other == "prometheus" and space not in {None, ends.gateway}
