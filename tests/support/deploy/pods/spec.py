"""What a Deployment says about its pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.deploy.fields import Fields, UnimplementedError
from tests.support.deploy.pods.containers_spec import ContainerSpec, read_container, read_pod_security
from tests.support.deploy.pods.volumes_spec import ConfigFiles, EmptyDir, read_volume

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_MEANING_IN_DEPLOYMENT = {
    "replicas": "a test starts as many pods as it wants",
    "strategy": "rollouts are the Deployment controller's work",
    "minReadySeconds": "rollouts are the Deployment controller's work",
    "progressDeadlineSeconds": "rollouts are the Deployment controller's work",
    "revisionHistoryLimit": "rollouts are the Deployment controller's work",
}
NO_MEANING_IN_POD = {
    "topologySpreadConstraints": "there is one machine, so nothing to spread over",
    "serviceAccountName": "there is no API server, so no identity towards it",
}
"""Fields that mean nothing outside a cluster, each with its reason."""


@dataclass(frozen=True, slots=True)
class PodSpec:
    """One pod of a Deployment, whole."""

    name: str
    labels: Mapping[str, str]
    init_containers: tuple[ContainerSpec, ...]
    containers: tuple[ContainerSpec, ...]
    volumes: tuple[EmptyDir | ConfigFiles, ...]
    grace_s: int


def read_deployment(value: object) -> PodSpec:
    """Return the pod that a Deployment makes.

    Raises:
        UnimplementedError: Something in it is not implemented here; the message names the field.
    """
    with Fields(value, "Deployment") as fields:
        fields.only("apiVersion", "apps/v1")
        fields.only("kind", "Deployment")
        name, _ = read_metadata(fields.child("metadata"))
        with fields.child("spec") as spec:
            spec.pass_over(NO_MEANING_IN_DEPLOYMENT)
            with spec.child("selector") as selector:
                wanted = selector.strings("matchLabels")
            with spec.child("template") as template:
                with template.child("metadata") as metadata:
                    labels = metadata.strings("labels")
                    metadata.pass_over({"annotations": "they speak to controllers and to the mesh"})
                if not wanted.items() <= labels.items():
                    raise UnimplementedError(f"Deployment {name} does not select its own pods: {wanted}")
                return _pod(template.child("spec"), name, labels)


def read_metadata(fields: Fields) -> tuple[str, str]:
    """Return an object's name and namespace."""
    with fields:
        fields.pass_over({"labels": "kubectl selects by them", "annotations": "they speak to controllers"})
        return fields.need("name"), fields.take("namespace", "default")


def _pod(fields: Fields, name: str, labels: Mapping[str, str]) -> PodSpec:
    with fields:
        fields.pass_over(NO_MEANING_IN_POD)
        # What these would switch on is not there: no token, no variables about Services.
        for field in ("automountServiceAccountToken", "enableServiceLinks"):
            if fields.need(field) is not False:
                raise UnimplementedError(f"{fields.path}.{field}: only false is implemented")
        fields.only("restartPolicy", "Always")
        security = read_pod_security(fields.child("securityContext"))
        first, others = fields.children("initContainers"), fields.children("containers")
        pod = PodSpec(
            name=name,
            labels=labels,
            init_containers=tuple(read_container(each, security) for each in first),
            containers=tuple(read_container(each, security) for each in others),
            volumes=tuple(read_volume(each) for each in fields.children("volumes")),
            grace_s=fields.take("terminationGracePeriodSeconds", 30),
        )
    volumes = {volume.name for volume in pod.volumes}
    for container in (*pod.init_containers, *pod.containers):
        if unknown := {mount.volume for mount in container.mounts} - volumes:
            raise UnimplementedError(f"{container.name} mounts {sorted(unknown)}, which the pod has not")
        if container in pod.init_containers and container.probes:
            raise UnimplementedError(f"{container.name}: an init container has no probes")
    return pod
