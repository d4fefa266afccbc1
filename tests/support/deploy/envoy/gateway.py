"""Translates gateways into Envoy's listeners: the project's own Gateway, or a plain one for the cluster's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.deploy.envoy.clusters import local_address
from tests.support.deploy.envoy.services import name_in, object_fields
from tests.support.deploy.fields import Fields, UnimplementedError
from tests.support.deploy.objects import of_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.deploy.envoy.routes import Routes
    from tests.support.deploy.objects import Object

MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
TLS_VERSIONS = {"TLSV1_2": "TLSv1_2", "TLSV1_3": "TLSv1_3"}


def listeners(
    objects: Sequence[Object], routes: Routes, certificates: Mapping[str, tuple[Path, Path]]
) -> list[dict[str, Any]]:
    """Return Envoy's listeners for the gateways that a VirtualService names.

    One of another namespace becomes a plain listener of that name, an own one a listener for each server.

    Args:
        objects: As rendered.
        routes: Of the VirtualService.
        certificates: By name of the Secret, the files of certificate and key.

    Raises:
        UnimplementedError: A field that is not translated, or a Gateway that does not exist.
    """
    own = {one["metadata"]["name"]: one for one in of_kind(objects, "Gateway")}
    found: list[dict[str, Any]] = []
    for name in routes.gateways:
        if "/" in name:
            found.append(_listener(name, routes.virtual_host))  # a gateway that others describe
        elif name in own:
            found += _servers(own.pop(name), routes, certificates)
        else:
            raise UnimplementedError(f"there is no Gateway {name!r}; elsewhere it is NAMESPACE/NAME")
    if own:
        raise UnimplementedError(f"no route is for the Gateway {', '.join(own)}")
    return found


def _servers(
    gateway: Object, routes: Routes, certificates: Mapping[str, tuple[Path, Path]]
) -> list[dict[str, Any]]:
    with object_fields(gateway) as fields, fields.child("spec") as spec:
        name_in(fields)
        spec.strings("selector")
        return [_server(one, routes, certificates) for one in spec.children("servers")]


def _server(fields: Fields, routes: Routes, certificates: Mapping[str, tuple[Path, Path]]) -> dict[str, Any]:
    with fields:
        name = fields.need("name")
        hosts = fields.need("hosts")
        if set(hosts) != set(routes.hosts):
            raise UnimplementedError(f"{fields.path}.hosts: not those of the routes, {routes.hosts}")
        with fields.child("port") as port:
            protocol = port.one_of("protocol", ("HTTP", "HTTPS"))
            port.need("number")
            port.need("name")
        with fields.child("tls") as tls:
            if protocol == "HTTPS":
                socket = _tls_socket(tls, certificates)
                return _for_names(hosts, socket, _listener(name, routes.virtual_host))
            redirect = tls.take("httpsRedirect", default=False)
    host = {**routes.virtual_host, "require_tls": "ALL"} if redirect else routes.virtual_host
    return _listener(name, host)


def _tls_socket(tls: Fields, certificates: Mapping[str, tuple[Path, Path]]) -> dict[str, Any]:
    tls.one_of("mode", ("SIMPLE",))
    secret = tls.need("credentialName")
    if secret not in certificates:
        raise UnimplementedError(f"{tls.path}.credentialName: there is no certificate {secret!r}")
    chain, key = certificates[secret]
    minimum = TLS_VERSIONS[tls.one_of("minProtocolVersion", tuple(TLS_VERSIONS))]
    pair = {"certificate_chain": {"filename": str(chain)}, "private_key": {"filename": str(key)}}
    common = {"tls_certificates": [pair], "tls_params": {"tls_minimum_protocol_version": minimum}}
    config = {"@type": f"type.googleapis.com/{TLS}", "common_tls_context": common}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def _for_names(names: list[str], socket: dict[str, Any], listener: dict[str, Any]) -> dict[str, Any]:
    """Let a listener speak TLS, and to those only that ask for one of these names."""
    (chain,) = listener["filter_chains"]
    inspector = {"@type": f"type.googleapis.com/{INSPECTOR}"}
    return {
        **listener,
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
        "filter_chains": [
            {**chain, "filter_chain_match": {"server_names": names}, "transport_socket": socket}
        ],
    }


def _listener(name: str, virtual_host: dict[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": f"type.googleapis.com/{MANAGER}",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "normalize_path": True,  # as Istio's gateways do: /project/../metrics is /metrics
        "use_remote_address": True,
        "route_config": {
            "name": name,
            "virtual_hosts": [virtual_host],
            "ignore_port_in_host_matching": True,
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"type.googleapis.com/{ROUTER}"}}
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {"name": name, "address": local_address(0), "filter_chains": [{"filters": filters}]}
