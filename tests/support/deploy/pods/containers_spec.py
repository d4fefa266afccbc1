"""What a pod's manifest says about one container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.deploy.objects import quantity
from tests.support.deploy.pods.probes import LIVENESS, READINESS, STARTUP, Probe, read_probe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.deploy.fields import Fields

NO_MEANING = {
    "imagePullPolicy": "the images are in the engine, and nothing is pulled",
}
"""Fields of a container that mean nothing outside a cluster, each with its reason."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a volume appears in a container."""

    volume: str
    path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Security:
    """As whom a container runs, and with which rights; `None` leaves it to the image."""

    uid: int | None = None
    gid: int | None = None
    non_root: bool = False
    read_only_root: bool = False
    escalation: bool = True
    dropped: tuple[str, ...] = ()
    seccomp: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container may use: memory in bytes, CPUs as a number; and the share of CPU that it asks for."""

    memory: int | None = None
    cpus: float | None = None
    cpu_request: float | None = None


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a pod, whole.

    Attributes:
        config_maps: Those whose every key is a variable; `variables` win over them.
        probes: By `STARTUP`, `READINESS`, `LIVENESS`.
        message_path: The file in which it says why it ended.
        message_from_log: Whether the end of its log says so where that file is empty and it failed.
    """

    name: str
    image: str
    command: tuple[str, ...] | None
    arguments: tuple[str, ...] | None
    config_maps: tuple[str, ...]
    variables: Mapping[str, str]
    ports: Mapping[str, int]
    mounts: tuple[Mount, ...]
    resources: Resources
    security: Security
    probes: Mapping[str, Probe]
    message_path: str
    message_from_log: bool


def read_container(fields: Fields, pod: Security) -> ContainerSpec:
    """Read a container of a pod whose own security context is given."""
    with fields:
        fields.pass_over(NO_MEANING)
        probes = {
            name: read_probe(fields.child(f"{name}Probe"))
            for name in (STARTUP, READINESS, LIVENESS)
            if f"{name}Probe" in fields
        }
        return ContainerSpec(
            name=fields.need("name"),
            image=fields.need("image"),
            command=fields.words("command"),
            arguments=fields.words("args"),
            config_maps=tuple(_config_map(each) for each in fields.children("envFrom")),
            variables=dict(_variable(each) for each in fields.children("env")),
            ports=dict(_port(each) for each in fields.children("ports")),
            mounts=tuple(_mount(each) for each in fields.children("volumeMounts")),
            resources=_resources(fields.child("resources")),
            security=_security(fields.child("securityContext"), pod),
            probes=probes,
            message_path=fields.take("terminationMessagePath", "/dev/termination-log"),
            message_from_log=_policy(fields) == "FallbackToLogsOnError",
        )


def read_pod_security(fields: Fields) -> Security:
    """Read a pod's security context, which holds for all its containers."""
    with fields:
        return Security(
            uid=fields.take("runAsUser"),
            gid=fields.take("runAsGroup"),
            non_root=fields.take("runAsNonRoot", default=False),
            seccomp=_seccomp(fields, inherited=False),
        )


def _security(fields: Fields, pod: Security) -> Security:
    with fields:
        fields.only("privileged", False)  # noqa: FBT003 - a value, no switch
        with fields.child("capabilities") as capabilities:
            dropped = capabilities.words("drop") or ()
        return Security(
            uid=fields.take("runAsUser", pod.uid),
            gid=fields.take("runAsGroup", pod.gid),
            non_root=fields.take("runAsNonRoot", pod.non_root),
            read_only_root=fields.take("readOnlyRootFilesystem", default=False),
            escalation=fields.take("allowPrivilegeEscalation", default=True),
            dropped=dropped,
            seccomp=_seccomp(fields, inherited=pod.seccomp),
        )


def _seccomp(fields: Fields, *, inherited: bool) -> bool:
    if "seccompProfile" not in fields:
        return inherited
    with fields.child("seccompProfile") as profile:
        return profile.one_of("type", ("RuntimeDefault", "Unconfined")) == "RuntimeDefault"


def _policy(fields: Fields) -> str:
    if "terminationMessagePolicy" not in fields:
        return "File"
    return fields.one_of("terminationMessagePolicy", ("File", "FallbackToLogsOnError"))


def _config_map(fields: Fields) -> str:
    with fields, fields.child("configMapRef") as reference:
        return str(reference.need("name"))


def _variable(fields: Fields) -> tuple[str, str]:
    with fields:
        return fields.need("name"), fields.literal("value")


def _port(fields: Fields) -> tuple[str, int]:
    with fields:
        fields.only("protocol", "TCP")
        return fields.need("name"), fields.need("containerPort")


def _mount(fields: Fields) -> Mount:
    with fields:
        return Mount(fields.need("name"), fields.need("mountPath"), fields.take("readOnly", default=False))


def _resources(fields: Fields) -> Resources:
    with fields:
        with fields.child("limits") as limits:
            memory, cpus = limits.take("memory"), limits.take("cpu")
        with fields.child("requests") as requests:
            share = requests.take("cpu")
            requests.pass_over({"memory": "the scheduler alone reads it"})
        return Resources(
            memory=None if memory is None else int(quantity(memory)),
            cpus=None if cpus is None else quantity(cpus),
            cpu_request=None if share is None else quantity(share),
        )
