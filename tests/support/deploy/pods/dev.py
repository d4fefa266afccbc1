"""The dev overlay as pods, and the changes to its manifests that tests make."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.deploy import kustomize
from tests.support.deploy.objects import of_kind
from tests.support.deploy.pods.cluster import Cluster
from tests.support.deploy.pods.pod import PATIENCE_S
from tests.support.http_server import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.objects import Object


def dev_cluster(engine: Engine, image: str, rendered: Iterable[Object] | None = None) -> Cluster:
    """Return a cluster of the dev overlay, or of what was made of it, with nothing running yet.

    The test is skipped where an image that is not the project's own is neither here nor can be pulled.
    """
    cluster = Cluster(engine, rendered or render_dev(), tools=image, images={"mlapi": image})
    for pod in cluster.objects.pods.values():
        for container in (*pod.init_containers, *pod.containers):
            if container.image != "mlapi":
                engine.need_image(container.image)
    return cluster


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds; fail the test where it does not in time."""
    wait_until(condition, timeout=PATIENCE_S)


def render_dev() -> list[Object]:
    """Return the objects of the dev overlay."""
    return kustomize.build(kustomize.overlay("dev"))


def render_with(*components: str) -> list[Object]:
    """Return the objects of the dev overlay with components."""
    with tempfile.TemporaryDirectory(prefix="mlapi-test-") as folder:
        return kustomize.build(kustomize.write_layer(Path(folder), components, over=kustomize.overlay("dev")))


def with_gate_timeout(rendered: Iterable[Object], seconds: int) -> list[Object]:
    """Return the objects with another MLAPI_WAIT_TIMEOUT_S, and nothing else changed."""
    changed = copy.deepcopy(list(rendered))
    settings = [one["data"] for one in of_kind(changed, "ConfigMap") if "MLAPI_WAIT_TIMEOUT_S" in one["data"]]
    assert settings, "no ConfigMap has MLAPI_WAIT_TIMEOUT_S"
    for data in settings:
        data["MLAPI_WAIT_TIMEOUT_S"] = str(seconds)
    return changed


def password_secret(password: str) -> Object:
    """Return the Secret from which Redis and its clients read their password."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "redis-auth"},
        "type": "Opaque",
        "stringData": {"password": password},
    }
