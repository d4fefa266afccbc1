"""Faults of names, selectors, ports, volumes and settings that the cross-checks must notice."""

from __future__ import annotations

from tests.support.deploy.cross_checks import identity, mounts, ports, selectors, settings
from tests.support.deploy.mutations.mutation import GONE, Mutation

LAB = "Deployment lab"
API = "Deployment mlapi"
REDIS = "Deployment redis"
POD = "spec/template/spec"
OWN = f"{POD}/containers/mlapi"
GATE = f"{POD}/initContainers/wait-redis"
NAME = "app.kubernetes.io~name"

IDENTITY = (
    Mutation(identity.unique_names, "plain", "Service lab", "", dict, "stands there 2 times"),
    Mutation(
        identity.namespaces, "prod", "Service lab", "metadata/namespace", "elsewhere", "lies in namespace"
    ),
    Mutation(identity.namespaces, "prod", "Service lab", "metadata/namespace", GONE, "without a namespace"),
    Mutation(
        identity.namespaces,
        "everything",
        "RoleBinding schedule",
        "subjects/schedule/namespace",
        "elsewhere",
        "binds schedule",
    ),
    Mutation(
        identity.nothing_unresolved,
        "prod",
        "VirtualService mlapi",
        "spec/hosts/0",
        "from-values",
        "placeholder",
    ),
    Mutation(identity.labels, "plain", "Service lab", "metadata/labels", GONE, "prunes"),
    Mutation(identity.labels, "plain", LAB, "spec/template/metadata/labels/track", "beta", "label track"),
    Mutation(identity.labels, "plain", LAB, f"metadata/labels/{NAME}", "x", "labelled otherwise"),
    Mutation(
        identity.labels,
        "plain",
        LAB,
        "spec/template/metadata/labels/app.kubernetes.io~part-of",
        GONE,
        "part-of",
    ),
)

SELECTORS = (
    Mutation(selectors.selectors, "plain", "Service lab", f"spec/selector/{NAME}", "labb", "matches no pod"),
    Mutation(
        selectors.selectors,
        "everything",
        "Service mlapi",
        "spec/selector",
        {NAME.replace("~", "/"): "mlapi"},
        " and ",
    ),
    Mutation(
        selectors.selectors,
        "everything",
        "PodMonitor mlapi",
        "spec/selector",
        {"matchLabels": {"a": "b"}},
        "no pod",
    ),
    Mutation(
        selectors.owners_match_their_pods,
        "plain",
        LAB,
        "spec/selector/matchLabels/track",
        "canary",
        "own pods",
    ),
    Mutation(
        selectors.owners_match_their_pods,
        "plain",
        LAB,
        f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels/{NAME}",
        "mlapi",
        "spread over",
    ),
    Mutation(
        selectors.name_and_track, "plain", "Service lab", "spec/selector/track", GONE, "does not have track"
    ),
)

PORTS = (
    Mutation(
        ports.target_ports, "plain", "Service lab", "spec/ports/http/targetPort", "web", "target port web"
    ),
    Mutation(
        ports.target_ports, "plain", "Service lab", "spec/ports/http/targetPort", GONE, "target port 80"
    ),
    Mutation(
        ports.metrics_stay_inside,
        "plain",
        "Service lab",
        "spec/ports/http/targetPort",
        "metrics",
        "take the port out",
    ),
    Mutation(
        ports.metrics_stay_inside,
        "plain",
        "Service lab",
        "spec/ports/http/targetPort",
        9090,
        "carries metrics",
    ),
    Mutation(
        ports.scraped_ports,
        "prod",
        "PodMonitor mlapi",
        "spec/podMetricsEndpoints/0/port",
        "prom",
        "no port named prom",
    ),
    Mutation(ports.listening_ports, "plain", API, f"{OWN}/env/MLAPI_METRICS_PORT/value", "9091", "9091"),
    Mutation(ports.listening_ports, "plain", API, f"{OWN}/ports/http/containerPort", 8080, "8080"),
)

MOUNTS = (
    Mutation(
        mounts.mounts_have_volumes, "plain", API, f"{OWN}/volumeMounts/tmp/name", "temp", "no volume is named"
    ),
    Mutation(mounts.mounts_have_volumes, "plain", API, f"{OWN}/volumeMounts/tmp", GONE, "nothing mounts"),
    Mutation(
        mounts.mounts_have_volumes,
        "prod",
        API,
        f"{OWN}/volumeMounts/redis-auth/mountPath",
        "/tmp",
        "mounted twice",
    ),
    Mutation(mounts.sources_exist, "prod", "ExternalSecret redis-auth", "", GONE, "Secret redis-auth"),
    Mutation(
        mounts.sources_exist,
        "plain",
        API,
        f"{OWN}/envFrom/0/configMapRef/name",
        "cache-client",
        "ConfigMap cache",
    ),
    Mutation(
        mounts.sources_exist, "external", "PersistentVolumeClaim models", "", GONE, "PersistentVolumeClaim"
    ),
    Mutation(mounts.sources_exist, "plain", "ServiceAccount lab", "", GONE, "ServiceAccount lab"),
    Mutation(
        mounts.keys_exist,
        "plain",
        REDIS,
        f"{POD}/volumes/config/configMap/items",
        [{"key": "x", "path": "x"}],
        "has no key x",
    ),
    Mutation(
        mounts.files_are_mounted, "prod", API, f"{GATE}/volumeMounts/redis-auth", GONE, "no mounted volume"
    ),
    Mutation(
        mounts.files_are_mounted,
        "external",
        LAB,
        f"{POD}/initContainers/wait-dns/volumeMounts/redis-ca",
        GONE,
        "container wait-dns: MLAPI_REDIS_CA_FILE",
    ),
    Mutation(
        mounts.files_are_mounted,
        "external",
        API,
        f"{OWN}/volumeMounts/models/mountPath",
        "/mnt/model",
        "MLAPI_MODEL",
    ),
    Mutation(
        mounts.files_are_mounted,
        "plain",
        API,
        f"{GATE}/volumeMounts/gate/mountPath",
        "/run/g",
        "DEADLINE_FILE",
    ),
)

SETTINGS = (
    Mutation(
        settings.known_settings,
        "plain",
        API,
        f"{OWN}/env",
        lambda env: [*env, {"name": "MLAPI_DRAIN_GRACE", "value": "3"}],
        "is no setting",
    ),
    Mutation(
        settings.readable_settings,
        "plain",
        API,
        f"{OWN}/env/MLAPI_PREFIX/value",
        "project",
        "must start with a slash",
    ),
    Mutation(
        settings.secrets_are_files,
        "plain",
        API,
        f"{OWN}/env",
        lambda env: [*env, {"name": "MLAPI_REDIS_PASSWORD", "value": "x"}],
        "mount the Secret",
    ),
    Mutation(
        settings.secrets_are_files,
        "plain",
        LAB,
        f"{POD}/initContainers/wait-dns/envFrom",
        [{"secretRef": {"name": "redis-auth"}}],
        "becomes variables",
    ),
)

CASES = (*IDENTITY, *SELECTORS, *PORTS, *MOUNTS, *SETTINGS)
