"""The rendered objects from which pods are run."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from tests.support.deploy.fields import Fields, UnimplementedError
from tests.support.deploy.pods.services import ServiceSpec, read_service
from tests.support.deploy.pods.spec import PodSpec, read_deployment, read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.deploy.pods.containers_spec import ContainerSpec

NO_MEANING = {
    "Namespace": "the engine has one network for each set of pods, which no other set reaches",
    "ServiceAccount": "there is no API server, so no identity towards it",
    "PodDisruptionBudget": "nothing is evicted",
}
"""Kinds that mean nothing outside a cluster, each with its reason."""


class Objects:
    """Deployments, Services, ConfigMaps and Secrets by name, read whole.

    Attributes:
        pods: The pod of each Deployment.
        services: The Services.
    """

    def __init__(self, rendered: Iterable[Mapping[str, Any]]) -> None:
        """Read what Kustomize printed.

        Raises:
            UnimplementedError: A kind or a field is not implemented.
        """
        self.pods: dict[str, PodSpec] = {}
        self.services: dict[str, ServiceSpec] = {}
        self._data: dict[tuple[str, str], dict[str, bytes]] = {}
        for each in rendered:
            kind = each.get("kind")
            if kind == "Deployment":
                pod = read_deployment(each)
                self.pods[pod.name] = pod
            elif kind == "Service":
                service = read_service(each)
                self.services[service.name] = service
            elif kind in {"ConfigMap", "Secret"}:
                self.put(each)
            elif kind not in NO_MEANING:
                raise UnimplementedError(f"the runner of pods does not implement the kind {kind}")

    def put(self, value: Mapping[str, Any]) -> None:
        """Read a ConfigMap or a Secret; one of the same name is replaced."""
        kind = value["kind"]
        with Fields(value, kind) as fields:
            fields.only("apiVersion", "v1")
            fields.only("kind", kind)
            name, _ = read_metadata(fields.child("metadata"))
            data = {key: text.encode() for key, text in fields.strings("data").items()}
            if kind == "Secret":
                fields.only("type", "Opaque")
                data = {key: base64.b64decode(text, validate=True) for key, text in data.items()}
                data |= {key: text.encode() for key, text in fields.strings("stringData").items()}
        self._data[kind, name] = data

    def data(self, kind: str, name: str) -> dict[str, bytes]:
        """Return all keys of a ConfigMap or Secret.

        Raises:
            UnimplementedError: There is none, for which a pod would not start.
        """
        if (kind, name) not in self._data:
            raise UnimplementedError(f"there is no {kind} {name}: who asks for it would not start")
        return self._data[kind, name]

    def environment(self, container: ContainerSpec) -> dict[str, str]:
        """Return the variables of a container: those of its ConfigMaps, and over them its own."""
        shared: dict[str, str] = {}
        for name in container.config_maps:
            shared |= {key: value.decode() for key, value in self.data("ConfigMap", name).items()}
        return shared | dict(container.variables)
