"""Translates a VirtualService into the virtual host that Istio would have Envoy's router use.

Meanings and defaults are those of https://istio.io/latest/docs/reference/config/networking/virtual-service/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.deploy.envoy.clusters import proto_duration
from tests.support.deploy.envoy.services import name_in, object_fields
from tests.support.deploy.fields import Fields, UnimplementedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.deploy.envoy.services import Upstream
    from tests.support.deploy.objects import Object

NO_TIMEOUT = "0s"
PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
ELSEWHERE = {
    # a repeated request prefers a pod that has not had it; Istio sets this for every retry
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"type.googleapis.com/{PREVIOUS_HOSTS}"},
        }
    ],
    "host_selection_retry_max_attempts": 5,
}
ISTIO_DEFAULT_RETRIES = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "retriable_status_codes": [503],
    "num_retries": 2,
    **ELSEWHERE,
}
"""What a route without `retries` gets."""


class Routes:
    """A VirtualService in Envoy's words.

    Attributes:
        gateways: Which gateways it is for.
        hosts: Which hosts.
        virtual_host: The routes.
    """

    def __init__(self, service: Object, upstreams: Mapping[str, Upstream]) -> None:
        """Translate.

        Args:
            service: The VirtualService.
            upstreams: Where routes may lead, by name of the Service.

        Raises:
            UnimplementedError: A field that is not translated, or a route to a Service that does not exist.
        """
        self._upstreams = upstreams
        with object_fields(service) as fields, fields.child("spec") as spec:
            name = name_in(fields)
            self.hosts: list[str] = spec.need("hosts")
            self.gateways: list[str] = spec.need("gateways")
            routes = [route for one in spec.children("http") for route in self._routes(one)]
        self.virtual_host = {
            "name": name,
            "domains": self.hosts,
            "routes": routes,
        }

    def _routes(self, fields: Fields) -> list[dict[str, Any]]:
        """Translate a route into one for each of its matches."""
        with fields:
            name = fields.need("name")
            action = self._destinations(fields.children("route"), fields.path)
            action["timeout"] = proto_duration(fields.take("timeout", NO_TIMEOUT))
            retries = _retries(fields)
            if retries is not None:
                action["retry_policy"] = retries
            if "rewrite" in fields:
                with fields.child("rewrite") as rewrite:
                    action["prefix_rewrite"] = rewrite.need("uri")
            matches = [_match(one) for one in fields.children("match")]
        if not matches:
            raise UnimplementedError(f"{fields.path}: a route without a match takes everything")
        return [{"name": name, "match": match, "route": action} for match in matches]

    def _destinations(self, listed: list[Fields], path: str) -> dict[str, Any]:
        weighted = [self._destination(one) for one in listed]
        if len(weighted) == 1:
            if weighted[0]["weight"]:
                raise UnimplementedError(f"{path}: the weight of a single destination means nothing")
            return {"cluster": weighted[0]["name"]}
        # Istio leaves out those without weight, and Envoy refuses a sum of 0.
        kept = [one for one in weighted if one["weight"]]
        if not kept:
            raise UnimplementedError(f"{path}: no destination has a weight")
        return {"weighted_clusters": {"clusters": kept}}

    def _destination(self, fields: Fields) -> dict[str, Any]:
        with fields:
            weight: int = fields.take("weight", 0)
            with fields.child("destination") as destination:
                host = destination.need("host")
        if host not in self._upstreams:
            raise UnimplementedError(f"{fields.path}: there is no Service {host!r} of HTTP")
        return {"name": self._upstreams[host].cluster, "weight": weight}


def _match(fields: Fields) -> dict[str, Any]:
    with fields, fields.child("uri") as uri:
        kinds = [kind for kind in ("exact", "prefix") if kind in uri]
        if len(kinds) != 1:
            raise UnimplementedError(f"{uri.path}: `exact` or `prefix` is translated, and one of them")
        return {"path" if kinds == ["exact"] else "prefix": uri.need(kinds[0])}


def _retries(fields: Fields) -> dict[str, Any] | None:
    if "retries" not in fields:
        return dict(ISTIO_DEFAULT_RETRIES)
    with fields.child("retries") as retries:
        attempts = retries.need("attempts")
        conditions = retries.need("retryOn")
    if not attempts:
        return None
    if any(condition.strip().isdigit() for condition in conditions.split(",")):
        raise UnimplementedError(f"{retries.path}.retryOn: status codes are not translated")
    return {"retry_on": conditions, "num_retries": attempts, **ELSEWHERE}
