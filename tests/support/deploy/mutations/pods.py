"""Faults of images, security, probes and sizes that the cross-checks must notice."""

from __future__ import annotations

from tests.support.deploy.cross_checks import images, pod_security, probes, resources
from tests.support.deploy.mutations.mutation import GONE, Mutation

API = "Deployment mlapi"
REDIS = "Deployment redis"
RUN = "CronJob schedule"
POD = "spec/template/spec"
OWN = f"{POD}/containers/mlapi"
GATE = f"{POD}/initContainers/wait-redis"
JOB = "spec/jobTemplate/spec/template/spec"

IMAGES = (
    Mutation(
        images.pinned_images, "plain", REDIS, f"{POD}/containers/redis/image", "redis", "no fixed version"
    ),
    Mutation(
        images.pinned_images, "plain", REDIS, f"{POD}/containers/redis/image", "redis:latest", "no fixed"
    ),
    Mutation(
        images.pinned_images, "plain", REDIS, f"{POD}/containers/redis/image", "r.io:5000/redis", "no fixed"
    ),
    Mutation(
        images.nothing_deprecated,
        "prod",
        "VirtualService mlapi",
        "apiVersion",
        "networking.istio.io/v1beta1",
        "v1",
    ),
    Mutation(
        images.nothing_deprecated, "plain", API, f"{POD}/serviceAccount", "mlapi", "say serviceAccountName"
    ),
)

SECURITY = (
    Mutation(pod_security.restricted, "plain", API, f"{GATE}/securityContext", GONE, "must drop ALL"),
    Mutation(
        pod_security.restricted,
        "plain",
        API,
        f"{OWN}/securityContext/allowPrivilegeEscalation",
        value=True,
        says="allowPriv",
    ),
    Mutation(
        pod_security.restricted, "plain", API, f"{POD}/securityContext/runAsNonRoot", GONE, "runAsNonRoot"
    ),
    Mutation(pod_security.restricted, "plain", API, f"{POD}/securityContext/runAsUser", 0, "must not be 0"),
    Mutation(
        pod_security.restricted, "plain", API, f"{POD}/securityContext/seccompProfile", GONE, "seccompProfile"
    ),
    Mutation(
        pod_security.restricted,
        "plain",
        API,
        f"{OWN}/securityContext/capabilities/add",
        ["NET_ADMIN"],
        "NET_ADMIN",
    ),
    Mutation(
        pod_security.restricted,
        "plain",
        API,
        f"{OWN}/securityContext/privileged",
        value=True,
        says="privileged",
    ),
    Mutation(
        pod_security.restricted, "plain", API, f"{OWN}/securityContext/procMount", "Unmasked", "procMount"
    ),
    Mutation(pod_security.restricted, "plain", API, f"{OWN}/ports/http/hostPort", 8000, "hostPort"),
    Mutation(pod_security.restricted, "plain", API, f"{POD}/hostNetwork", value=True, says="hostNetwork"),
    Mutation(pod_security.restricted, "plain", API, f"{POD}/securityContext/sysctls", [{}], "sysctls"),
    Mutation(
        pod_security.restricted,
        "plain",
        API,
        f"{POD}/volumes/tmp",
        {"name": "tmp", "hostPath": {}},
        "hostPath",
    ),
    Mutation(
        pod_security.restricted,
        "everything",
        RUN,
        f"{JOB}/securityContext/runAsNonRoot",
        GONE,
        "runAsNonRoot",
    ),
    Mutation(
        pod_security.namespace_enforces,
        "prod",
        "Namespace mlapi",
        "metadata/labels/pod-security.kubernetes.io~enforce",
        "baseline",
        "restricted",
    ),
    Mutation(
        pod_security.read_only_roots,
        "plain",
        API,
        f"{GATE}/securityContext/readOnlyRootFilesystem",
        GONE,
        "wait-redis",
    ),
    Mutation(pod_security.no_tokens, "plain", API, f"{POD}/automountServiceAccountToken", GONE, "automount"),
    Mutation(
        pod_security.no_tokens,
        "plain",
        "ServiceAccount lab",
        "automountServiceAccountToken",
        value=True,
        says="automount",
    ),
    Mutation(pod_security.no_tokens, "everything", "RoleBinding schedule", "", GONE, "no RoleBinding"),
    Mutation(
        pod_security.no_tokens,
        "everything",
        RUN,
        f"{JOB}/volumes/api-access/projected/sources/0/serviceAccountToken/expirationSeconds",
        GONE,
        "must expire",
    ),
    Mutation(
        pod_security.least_privilege, "everything", "HorizontalPodAutoscaler mlapi", "", GONE, "there is no"
    ),
    Mutation(pod_security.least_privilege, "everything", "Role schedule", "rules/0/verbs", ["*"], "wildcard"),
    Mutation(
        pod_security.least_privilege,
        "everything",
        "Role schedule",
        "rules/0/resourceNames",
        GONE,
        "resourceNames",
    ),
    Mutation(
        pod_security.least_privilege, "everything", "Role schedule", "kind", "ClusterRole", "whole cluster"
    ),
    Mutation(
        pod_security.no_service_links, "plain", API, f"{POD}/enableServiceLinks", GONE, "enableServiceLinks"
    ),
)

PROBES = (
    Mutation(probes.all_probes, "plain", API, f"{OWN}/startupProbe", GONE, "no startupProbe"),
    Mutation(probes.all_probes, "plain", API, f"{OWN}/readinessProbe/timeoutSeconds", 1, "3 s or more"),
    Mutation(probes.all_probes, "plain", API, f"{OWN}/livenessProbe/timeoutSeconds", GONE, "3 s or more"),
    Mutation(
        probes.probed_paths,
        "plain",
        API,
        f"{OWN}/livenessProbe/httpGet/path",
        "/project/health",
        "livenessProbe",
    ),
    Mutation(probes.probed_paths, "plain", API, f"{OWN}/env/MLAPI_PREFIX/value", "/other", "/other/health"),
    Mutation(
        probes.probed_paths, "plain", API, f"{OWN}/readinessProbe/httpGet/port", "metrics", "does not serve"
    ),
)

RESOURCES = (
    Mutation(resources.requests_and_limits, "plain", API, f"{GATE}/resources", GONE, "wait-redis: cpu"),
    Mutation(
        resources.requests_and_limits,
        "plain",
        API,
        f"{OWN}/resources/requests/memory",
        "64Gi",
        "above the limit",
    ),
    Mutation(resources.bounded_volumes, "plain", API, f"{POD}/volumes/tmp/emptyDir", {}, "needs a sizeLimit"),
    Mutation(
        resources.bounded_volumes,
        "plain",
        API,
        f"{POD}/volumes/tmp/emptyDir",
        {"medium": "Memory", "sizeLimit": "64Gi"},
        "all of the pod's memory",
    ),
    Mutation(
        resources.redis_fits,
        "plain",
        REDIS,
        f"{POD}/containers/redis/resources/limits/memory",
        "256Mi",
        "1.25",
    ),
    Mutation(
        resources.redis_fits,
        "prod",
        REDIS,
        f"{POD}/containers/redis/resources/limits/memory",
        "256Mi",
        "1.25",
    ),
    Mutation(resources.redis_fits, "plain", REDIS, f"{POD}/securityContext/runAsUser", 1000, "999"),
    Mutation(
        resources.redis_fits, "plain", REDIS, f"{POD}/containers/redis/command", ["redis-server"], "file"
    ),
)

CASES = (*IMAGES, *SECURITY, *PROBES, *RESOURCES)
