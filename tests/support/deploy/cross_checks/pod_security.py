"""The `restricted` Pod Security Standard, and what this project asks of pods beyond it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/, version 1.31.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy.objects import name_of, of_kind, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.deploy.objects import Object, Workload

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
PROFILES = frozenset({"RuntimeDefault", "Localhost"})
ENFORCE = "pod-security.kubernetes.io/enforce"
LONGEST_TOKEN_S = 600


def restricted(objects: Sequence[Object]) -> list[str]:
    """Every pod passes the restricted standard, init containers included."""
    found = []
    for one in workloads(objects):
        found += [f"{one.name}: {line}" for line in _pod_faults(one)]
        for container in one.all_containers:
            place = f"{one.name}, container {container['name']}"
            found += [f"{place}: {line}" for line in _container_faults(one.spec, container)]
    return found


def namespace_enforces(objects: Sequence[Object]) -> list[str]:
    """The namespaces made here refuse pods that do not pass it."""
    return [
        f"{name_of(one)} must have the label {ENFORCE}: restricted"
        for one in of_kind(objects, "Namespace")
        if one["metadata"].get("labels", {}).get(ENFORCE) != "restricted"
    ]


def read_only_roots(objects: Sequence[Object]) -> list[str]:
    """No container can write to its own root."""
    return [
        f"{one.name}, container {container['name']}: needs readOnlyRootFilesystem: true"
        for one in workloads(objects)
        for container in one.all_containers
        if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True
    ]


def no_tokens(objects: Sequence[Object]) -> list[str]:
    """No pod gets a token for Kubernetes' API but by a volume that says so, for a short time, with a role."""
    found = [
        f"{name_of(one)}: needs automountServiceAccountToken: false"
        for one in of_kind(objects, "ServiceAccount")
        if one.get("automountServiceAccountToken") is not False
    ]
    bound = {name for binding in of_kind(objects, "RoleBinding") for name in _bound(binding)}
    for one in workloads(objects):
        if one.spec.get("automountServiceAccountToken") is not False:
            found.append(f"{one.name}: needs automountServiceAccountToken: false")
        for token in tokens_of(one):
            if one.spec.get("serviceAccountName") not in bound:
                found.append(f"{one.name}: has a token that no RoleBinding lets do anything; take it out")
            if token.get("expirationSeconds", 3600) > LONGEST_TOKEN_S:
                found.append(f"{one.name}: its token must expire after {LONGEST_TOKEN_S} s")
    return found


def least_privilege(objects: Sequence[Object]) -> list[str]:
    """Roles name verbs, resources and objects: no wildcard, and nothing for the whole cluster."""
    found = [f"{name_of(one)}: no role of the whole cluster is needed" for one in _cluster_wide(objects)]
    for role in of_kind(objects, "Role"):
        for rule in role.get("rules", []):
            if "*" in [*rule.get("verbs", []), *rule.get("resources", []), *rule.get("apiGroups", [])]:
                found.append(f"{name_of(role)}: a wildcard")
            if not rule.get("resourceNames"):
                found.append(f"{name_of(role)}: {rule.get('resources')} without resourceNames")
            found += [
                f"{name_of(role)}: there is no {resource} {name}"
                for resource in rule.get("resources", [])
                for name in rule.get("resourceNames", [])
                if name not in _named(objects, resource)
            ]
    return found


def no_service_links(objects: Sequence[Object]) -> list[str]:
    """No variables of other Services come into a pod, where they could pass for settings."""
    return [
        f"{one.name}: needs enableServiceLinks: false"
        for one in workloads(objects)
        if one.spec.get("enableServiceLinks") is not False
    ]


def _pod_faults(one: Workload) -> Iterator[str]:
    for flag in ("hostNetwork", "hostPID", "hostIPC"):
        if one.spec.get(flag):
            yield f"{flag} is not allowed"
    if one.spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls are not needed"
    for volume in one.spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - VOLUMES:
            yield f"volume {volume['name']}: {kind} is not allowed"


def _container_faults(spec: Object, container: Object) -> Iterator[str]:
    pod = spec.get("securityContext", {})
    own = container.get("securityContext", {})
    if own.get("privileged"):
        yield "privileged is not allowed"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "needs allowPrivilegeEscalation: false"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "needs runAsNonRoot: true"
    if own.get("runAsUser", pod.get("runAsUser", 1)) == 0:
        yield "runAsUser must not be 0"
    if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in PROFILES:
        yield "needs seccompProfile RuntimeDefault"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "must drop ALL capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"must not add capabilities {capabilities['add']}"
    if own.get("procMount", "Default") != "Default":
        yield "procMount must be Default"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "hostPort is not allowed"


def tokens_of(one: Workload) -> list[Object]:
    """Return the tokens for Kubernetes' API that a pod's volumes bring into it."""
    return [
        source["serviceAccountToken"]
        for volume in one.spec.get("volumes", [])
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]


def _named(objects: Sequence[Object], resource: str) -> list[str]:
    """Return the names of the objects that a role means by a resource: the kind's plural in lower case."""
    return [one["metadata"]["name"] for one in objects if f"{one['kind'].lower()}s" == resource]


def _bound(binding: Object) -> list[str]:
    return [subject["name"] for subject in binding.get("subjects", []) if subject["kind"] == "ServiceAccount"]


def _cluster_wide(objects: Sequence[Object]) -> list[Object]:
    return of_kind(objects, "ClusterRole", "ClusterRoleBinding")
