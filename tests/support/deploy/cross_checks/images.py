"""Images: each is pinned, and nothing here is deprecated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.deploy.objects import WORKLOADS, name_of, pod_template, workloads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.deploy.objects import Object

OWN = frozenset({"mlapi", "mlapi-canary"})
"""The placeholders of the service's images, which deploy.sh replaces."""

DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
SUPERSEDED = {
    "networking.istio.io/v1alpha3": "networking.istio.io/v1",
    "networking.istio.io/v1beta1": "networking.istio.io/v1",
    "security.istio.io/v1beta1": "security.istio.io/v1",
    "external-secrets.io/v1alpha1": "external-secrets.io/v1",
    "external-secrets.io/v1beta1": "external-secrets.io/v1",
    "autoscaling/v1": "autoscaling/v2",
    "autoscaling/v2beta2": "autoscaling/v2",
    "policy/v1beta1": "policy/v1",
    "batch/v1beta1": "batch/v1",
    "networking.k8s.io/v1beta1": "networking.k8s.io/v1",
}
OLD_ANNOTATIONS = (
    "seccomp.security.alpha.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "scheduler.alpha.kubernetes.io/",
    "kubernetes.io/ingress.class",
    "sidecar.istio.io/inject",  # the label of that name decides
)


def pinned_images(objects: Sequence[Object]) -> list[str]:
    """Every image has a version; the service's own placeholder gets its digest from deploy.sh."""
    return [
        f"{one.name}, container {container['name']}: {image!r} has no fixed version"
        for one in workloads(objects)
        for container in one.all_containers
        if (image := container.get("image", "")) not in OWN and not _versioned(image)
    ]


def final_images(objects: Sequence[Object]) -> list[str]:
    """Every image of the service is fixed by a digest, as what is applied to a cluster must be."""
    return [
        f"{one.name}, container {container['name']}: {image!r} has no digest; deploy.sh adds it"
        for one in workloads(objects)
        for container in one.all_containers
        if _repository(image := container.get("image", "")) in OWN and not DIGEST.search(image)
    ]


def nothing_deprecated(objects: Sequence[Object]) -> list[str]:
    """No API version that a newer one has superseded, and no field or annotation that is deprecated."""
    found = [
        f"{name_of(one)}: {one['apiVersion']} is superseded by {SUPERSEDED[one['apiVersion']]}"
        for one in objects
        if one["apiVersion"] in SUPERSEDED
    ]
    found += [
        f"{one.name}: serviceAccount is deprecated, say serviceAccountName"
        for one in workloads(objects)
        if "serviceAccount" in one.spec
    ]
    for one in objects:
        found += [
            f"{name_of(one)}: the annotation {name} is deprecated"
            for name in _annotations(one)
            if name.startswith(OLD_ANNOTATIONS)
        ]
        if one["kind"] == "Service" and "loadBalancerIP" in one["spec"]:
            found.append(f"{name_of(one)}: loadBalancerIP is deprecated")
    return found


def _annotations(one: Object) -> list[str]:
    own = list(one["metadata"].get("annotations", {}))
    pods = pod_template(one).get("metadata", {}).get("annotations", {}) if one["kind"] in WORKLOADS else {}
    return [*own, *pods]


def _versioned(image: str) -> bool:
    if DIGEST.search(image):
        return True
    tag = image.rpartition("/")[2].partition(":")[2]
    return bool(tag) and "@" not in image and tag != "latest" and not tag.startswith("latest-")


def _repository(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
