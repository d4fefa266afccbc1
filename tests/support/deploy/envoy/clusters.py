"""Translates a DestinationRule into the cluster that Istio would have Envoy make of it.

Meanings and defaults are those of https://istio.io/latest/docs/reference/config/networking/destination-rule/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.deploy.envoy.services import name_in, object_fields
from tests.support.deploy.fields import Fields, UnimplementedError
from tests.support.deploy.objects import of_kind, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.deploy.envoy.services import Upstream
    from tests.support.deploy.objects import Object

UNLIMITED = 2**32 - 1
"""Istio's default of every limit, where Envoy's is 1,024."""

CONNECT_TIMEOUT = "10s"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters(objects: Sequence[Object], upstreams: Mapping[str, Upstream]) -> list[dict[str, Any]]:
    """Return Envoy's clusters, one for each Service.

    Args:
        objects: As rendered.
        upstreams: By name of the Service.

    Raises:
        UnimplementedError: A field that is not translated.
    """
    found = {name: _cluster(upstream) for name, upstream in upstreams.items()}
    for rule in of_kind(objects, "DestinationRule"):
        with object_fields(rule) as fields, fields.child("spec") as spec:
            name_in(fields)
            host = spec.need("host")
            with spec.child("trafficPolicy") as policy:
                _apply(policy, found.get(host))
    return list(found.values())


def _cluster(upstream: Upstream) -> dict[str, Any]:
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {
        "name": upstream.cluster,
        "type": "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, UNLIMITED)]},
        "load_assignment": {
            "cluster_name": upstream.cluster,
            "endpoints": [{"lb_endpoints": [_endpoint(port) for port in upstream.endpoints]}],
        },
    }


def _endpoint(port: int) -> dict[str, Any]:
    return {"endpoint": {"address": local_address(port)}}


def local_address(port: int) -> dict[str, Any]:
    """Return Envoy's words for a port on this machine; 0 is a free one."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _apply(policy: Fields, cluster: dict[str, Any] | None) -> None:
    """Apply a traffic policy; only that of a Service of HTTP may be about HTTP."""
    if cluster is None:
        with policy.child("tls") as tls:
            tls.one_of("mode", ("DISABLE",))
        return
    with policy.child("loadBalancer") as balancer:
        cluster["lb_policy"] = balancer.one_of("simple", ("LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"))
    with policy.child("connectionPool") as pool:
        _apply_pool(pool, cluster)
    if "outlierDetection" in policy:
        with policy.child("outlierDetection") as outliers:
            cluster["outlier_detection"] = _outliers(outliers)
        # Istio goes on with the healthy ones alone, however few; Envoy would return to all below one half.
        cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}


def _apply_pool(pool: Fields, cluster: dict[str, Any]) -> None:
    limits = cluster["circuit_breakers"]["thresholds"][0]
    with pool.child("tcp") as tcp:
        limits["max_connections"] = tcp.take("maxConnections", UNLIMITED)
        cluster["connect_timeout"] = proto_duration(tcp.take("connectTimeout", CONNECT_TIMEOUT))
    with pool.child("http") as http:
        limits["max_pending_requests"] = http.take("http1MaxPendingRequests", UNLIMITED)
        limits["max_requests"] = http.take("http2MaxRequests", UNLIMITED)
        idle = http.take("idleTimeout", "1h")
    cluster["typed_extension_protocol_options"] = {
        HTTP_OPTIONS: {
            "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
            "common_http_protocol_options": {"idle_timeout": proto_duration(idle)},
            "explicit_http_config": {"http_protocol_options": {}},
        }
    }


def _outliers(outliers: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {"enforcing_success_rate": 0}  # Istio knows no such detection
    counted = {
        "consecutive5xxErrors": "consecutive_5xx",
        "consecutiveGatewayErrors": "consecutive_gateway_failure",
    }
    for field, name in counted.items():
        errors = outliers.take(field)
        if errors is not None:
            found[name] = errors
            found[f"enforcing_{name}"] = 100 if errors else 0
    for field, name in {"interval": "interval", "baseEjectionTime": "base_ejection_time"}.items():
        if field in outliers:
            found[name] = proto_duration(outliers.need(field))
    if "maxEjectionPercent" in outliers:
        found["max_ejection_percent"] = outliers.need("maxEjectionPercent")
    split = outliers.take("splitExternalLocalOriginErrors", default=False)
    failures = outliers.take("consecutiveLocalOriginFailures")
    if failures is not None and not split:
        raise UnimplementedError(f"{outliers.path}.consecutiveLocalOriginFailures needs the split of errors")
    if split:
        found["split_external_local_origin_errors"] = True
        found["enforcing_local_origin_success_rate"] = 0
    if failures:
        found["consecutive_local_origin_failure"] = failures
        found["enforcing_consecutive_local_origin_failure"] = 100
    return found


def proto_duration(text: str) -> str:
    """Return a duration such as `1m` as protobuf writes it: `60.0s`."""
    return f"{seconds(text)}s"
