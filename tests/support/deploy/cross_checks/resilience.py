"""What the mesh does when pods are busy or gone: repeat with care, eject with care, keep within limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.cross_checks.routes import destinations, routes, service_of
from tests.support.deploy.objects import name_of, of_kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object

UNSEEN = frozenset({"connect-failure", "refused-stream"})
"""Failures after which no pod has seen the request: only these may be repeated."""


def safe_retries(objects: Sequence[Object]) -> list[str]:
    """Retries are stated, once at most, and only where no pod has seen the request; never on 503."""
    found = []
    for name, route in routes(objects):
        if "route" not in route:
            continue
        retries = route.get("retries")
        if retries is None:
            found.append(f"{name}: without `retries` Istio repeats twice, on 503 too")
            continue
        conditions = {word.strip() for word in retries.get("retryOn", "").split(",")}
        if retries["attempts"] > 1 or not conditions <= UNSEEN:
            found.append(f"{name}: may repeat once, on {sorted(UNSEEN)} alone, not {retries}")
    return found


def careful_ejection(objects: Sequence[Object]) -> list[str]:
    """A pod is ejected for failures to connect alone: one that says 503 under overload is alive."""
    found = []
    for one in of_kind(objects, "DestinationRule"):
        ejection = one["spec"].get("trafficPolicy", {}).get("outlierDetection")
        if ejection is None:
            continue
        if ejection.get("splitExternalLocalOriginErrors") is not True:
            found.append(f"{name_of(one)}: outlierDetection must split local from external errors")
        found += [
            f"{name_of(one)}: {key} must be 0, or overload ejects pods"
            for key, default in (("consecutive5xxErrors", 5), ("consecutiveGatewayErrors", 0))
            if ejection.get(key, default) != 0
        ]
    return found


def connection_limits(objects: Sequence[Object]) -> list[str]:
    """Every routed Service has a DestinationRule that limits connections."""
    limited = {
        service_of(one["spec"]["host"])
        for one in of_kind(objects, "DestinationRule")
        if one["spec"].get("trafficPolicy", {}).get("connectionPool", {}).get("tcp", {}).get("maxConnections")
    }
    hosts = {service_of(destination["host"]) for _, destination in destinations(objects)}
    return [f"{host} is routed to without a limit of connections" for host in sorted(hosts - limited)]
