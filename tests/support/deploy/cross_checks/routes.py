"""Routes: they go to Services and ports that exist, and take nothing that belongs to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.cross_checks.selectors import selected, services
from tests.support.deploy.cross_checks.settings import image_settings
from tests.support.deploy.objects import find, name_of, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.deploy.objects import Object


def routed_services(objects: Sequence[Object]) -> list[str]:
    """Every route's destination is a Service here, with that port, and with pods."""
    known = services(objects)
    found = []
    for name, destination in destinations(objects):
        host = service_of(destination["host"])
        service = known.get(host)
        if service is None:
            found.append(f"{name}: there is no Service {host}")
            continue
        ports = [port["port"] for port in service["spec"].get("ports", [])]
        wanted = destination.get("port", {}).get("number")
        if wanted is None and len(ports) != 1:
            found.append(f"{name}: {host} has the ports {ports}; say which")
        if wanted is not None and wanted not in ports:
            found.append(f"{name}: {host} has no port {wanted}, but {ports}")
        if not selected(objects, service):
            found.append(f"{name}: {host} has no pods")
        found += [
            f"{name}: no DestinationRule has the subset {one}"
            for one in _unknown_subset(objects, destination)
        ]
    return found


def rules_have_services(objects: Sequence[Object]) -> list[str]:
    """Every DestinationRule is about a Service here that may be reached, and about each but once."""
    hosts = [service_of(one["spec"]["host"]) for one in of_kind(objects, "DestinationRule")]
    outside = {host for entry in of_kind(objects, "ServiceEntry") for host in entry["spec"]["hosts"]}
    found = [
        f"DestinationRule for {host}: there is no such Service"
        for host in hosts
        if host not in services(objects) and host not in outside
    ]
    return found + [
        f"{host} has several DestinationRules" for host in sorted(set(hosts)) if hosts.count(host) > 1
    ]


def own_gateways(objects: Sequence[Object]) -> list[str]:
    """A gateway without a namespace before its name is one of these objects, and serves the route's host."""
    found = []
    for one in of_kind(objects, "VirtualService"):
        for gateway in one["spec"].get("gateways", []):
            if "/" in gateway or gateway == "mesh":
                continue
            own = find(objects, "Gateway", gateway)
            if own is None:
                found.append(
                    f"{name_of(one)}: there is no Gateway {gateway}; one elsewhere is NAMESPACE/NAME"
                )
                continue
            served = {host for server in own["spec"]["servers"] for host in server["hosts"]}
            found += [
                f"{name_of(own)} does not serve {host}" for host in one["spec"]["hosts"] if host not in served
            ]
    return found


def path_matches(objects: Sequence[Object]) -> list[str]:
    """A path matches exactly, or by a prefix that ends with a slash: /projectX is nobody's."""
    return [
        f"{name_of(one)}, route {route.get('name')}: the prefix {uri['prefix']} must end with a slash"
        for one in of_kind(objects, "VirtualService")
        for route in one["spec"]["http"]
        for match in route.get("match", [])
        if "prefix" in (uri := match.get("uri", {})) and not uri["prefix"].endswith("/")
    ]


def routes_match_prefixes(objects: Sequence[Object]) -> list[str]:
    """What a route sends on, rewritten or not, lies under the prefix that the pods behind it answer to."""
    prefixes = {one.name: settings.prefix for one, _, settings in image_settings(objects)}
    found = []
    for name, route in routes(objects):
        paths = [text for match in route.get("match", []) for text in match.get("uri", {}).values()]
        sent = [route["rewrite"]["uri"]] if "uri" in route.get("rewrite", {}) else paths
        for one in route.get("route", []):
            service = services(objects).get(service_of(one["destination"]["host"]), {"spec": {}})
            wanted = {prefixes[pod.name] for pod in selected(objects, service) if pod.name in prefixes}
            found += [
                f"{name}: sends {path} to pods that answer under {prefix}"
                for path in sent
                for prefix in wanted
                if path != prefix and not path.startswith(f"{prefix}/")
            ]
        if not paths:
            found.append(f"{name}: matches every path")
    return found


def reachable_first(objects: Sequence[Object]) -> list[str]:
    """No route stands behind one that takes all of its requests: the first match wins."""
    found = []
    for one in of_kind(objects, "VirtualService"):
        earlier: list[str] = []
        for route in one["spec"]["http"]:
            paths = [text for match in route.get("match", []) for text in match.get("uri", {}).values()]
            hidden = [path for path in paths if any(path.startswith(prefix) for prefix in earlier)]
            found += [f"{name_of(one)}: {path} is taken by an earlier route" for path in hidden]
            earlier += [
                match["uri"]["prefix"]
                for match in route.get("match", [])
                if set(match) == {"uri"} and "prefix" in match["uri"]
            ]
    return found


def weights(objects: Sequence[Object]) -> list[str]:
    """The weights of a route with several destinations add up to 100."""
    return [
        f"{name}: its weights add up to {total}, not 100"
        for name, route in routes(objects)
        if len(route.get("route", [])) > 1
        and (total := sum(one.get("weight", 0) for one in route["route"])) != 100
    ]


def service_of(host: str) -> str:
    """Return the name of a Service from its short or full host name."""
    return host.partition(".")[0] if host.endswith((".svc", ".svc.cluster.local")) else host


def destinations(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield the route's name and each destination."""
    for name, route in routes(objects):
        for one in route.get("route", []):
            yield name, one["destination"]


def routes(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Yield every route with its name."""
    for one in of_kind(objects, "VirtualService"):
        for number, route in enumerate(one["spec"]["http"]):
            yield f"{name_of(one)}, route {route.get('name', number)}", route


def _unknown_subset(objects: Sequence[Object], destination: Object) -> list[str]:
    subset = destination.get("subset")
    known = [
        one["name"]
        for rule in of_kind(objects, "DestinationRule")
        if service_of(rule["spec"]["host"]) == service_of(destination["host"])
        for one in rule["spec"].get("subsets", [])
    ]
    return [subset] if subset and subset not in known else []
