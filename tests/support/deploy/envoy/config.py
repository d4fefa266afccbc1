"""Makes an Envoy's configuration of rendered manifests, so that real requests can be routed as they say.

Every field of a VirtualService, DestinationRule, Gateway and Service must be translated here: what is passed
over is tested by nobody and believed by all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.deploy.envoy.clusters import clusters, local_address
from tests.support.deploy.envoy.gateway import listeners
from tests.support.deploy.envoy.routes import Routes
from tests.support.deploy.envoy.services import upstreams
from tests.support.deploy.fields import UnimplementedError
from tests.support.deploy.objects import of_kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.deploy.objects import Object


def bootstrap(
    objects: Sequence[Object],
    running: Mapping[str, Sequence[int]],
    *,
    certificates: Mapping[str, tuple[Path, Path]] | None = None,
) -> dict[str, Any]:
    """Return the configuration of an Envoy that routes as the manifests say.

    Args:
        objects: As rendered.
        running: By Deployment, the ports on this machine on which its pods' stand-ins listen.
        certificates: By name of the Secret, the files of certificate and key.

    Raises:
        UnimplementedError: A field that is not translated.
    """
    services = of_kind(objects, "VirtualService")
    if len(services) != 1:
        raise UnimplementedError(f"one VirtualService is translated, not {len(services)}")
    behind = upstreams(objects, running)
    routes = Routes(services[0], behind)
    return {
        "admin": {"address": local_address(0)},
        "static_resources": {
            "listeners": listeners(objects, routes, certificates or {}),
            "clusters": clusters(objects, behind),
        },
    }
