"""What kubectl 1.32 says: texts, tables, and objects as a cluster has them."""

from __future__ import annotations

from typing import Any

ROLLED_OUT = 'deployment "mlapi" successfully rolled out\n'
TIMED_OUT = "error: timed out waiting for the condition\n"
PAST_DEADLINE = 'error: deployment "mlapi" exceeded its progress deadline\n'
REFUSED = (
    "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?\n"
)
EXISTS = 'error: failed to create configmap: configmaps "mlapi-deploy-lock" already exists\n'
# name, short names, version, kind
RESOURCES = (
    ("configmaps", "cm", "v1", "ConfigMap"),
    ("namespaces", "ns", "v1", "Namespace"),
    ("persistentvolumeclaims", "pvc", "v1", "PersistentVolumeClaim"),
    ("secrets", "", "v1", "Secret"),
    ("serviceaccounts", "sa", "v1", "ServiceAccount"),
    ("services", "svc", "v1", "Service"),
    ("deployments", "deploy", "apps/v1", "Deployment"),
    ("horizontalpodautoscalers", "hpa", "autoscaling/v2", "HorizontalPodAutoscaler"),
    ("cronjobs", "cj", "batch/v1", "CronJob"),
    ("pods", "", "metrics.k8s.io/v1beta1", "PodMetrics"),
    ("networkpolicies", "netpol", "networking.k8s.io/v1", "NetworkPolicy"),
    ("poddisruptionbudgets", "pdb", "policy/v1", "PodDisruptionBudget"),
    ("rolebindings", "", "rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("roles", "", "rbac.authorization.k8s.io/v1", "Role"),
)
CUSTOM_RESOURCES = (
    ("externalsecrets", "es", "external-secrets.io/v1", "ExternalSecret"),
    ("secretstores", "ss", "external-secrets.io/v1", "SecretStore"),
    ("scaledobjects", "so", "keda.sh/v1alpha1", "ScaledObject"),
    ("triggerauthentications", "ta", "keda.sh/v1alpha1", "TriggerAuthentication"),
    ("podmonitors", "pmon", "monitoring.coreos.com/v1", "PodMonitor"),
    ("destinationrules", "dr", "networking.istio.io/v1", "DestinationRule"),
    ("gateways", "gw", "networking.istio.io/v1", "Gateway"),
    ("virtualservices", "vs", "networking.istio.io/v1", "VirtualService"),
    ("authorizationpolicies", "ap", "security.istio.io/v1", "AuthorizationPolicy"),
    ("peerauthentications", "pa", "security.istio.io/v1", "PeerAuthentication"),
)


def api_resources(without: str = "") -> str:
    """Return what `kubectl api-resources --no-headers` prints, without the kinds of one API group."""
    return "".join(
        f"{name:<36}{short:<8}{version:<32}{'false' if kind == 'Namespace' else 'true':<8}{kind}\n"
        for name, short, version, kind in (*RESOURCES, *CUSTOM_RESOURCES)
        if not without or not version.startswith(without)
    )


def api_versions(without: str = "") -> str:
    """Return what `kubectl api-versions` prints, without one API group."""
    versions = {version for _, _, version, _ in (*RESOURCES, *CUSTOM_RESOURCES)}
    return "".join(f"{one}\n" for one in sorted(versions) if not without or not one.startswith(without))


def applied(
    api: str, kind: str, name: str, *, manager: str = "mlapi-deploy", **metadata: Any
) -> dict[str, Any]:
    """Return an object as the cluster has it after a server-side apply."""
    managed = [{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {}}]
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "managedFields": managed, **metadata}}


def running(name: str, image: str, container: str = "mlapi") -> dict[str, Any]:
    """Return a Deployment that runs an image."""
    containers = [{"name": "istio-proxy", "image": "proxy"}, {"name": container, "image": image}]
    return applied("apps/v1", "Deployment", name) | {
        "spec": {"template": {"spec": {"containers": containers}}}
    }
