"""Faults of scaling, network policies and times that the cross-checks must notice."""

from __future__ import annotations

from tests.support.deploy.cross_checks import flows, images, scaling, times
from tests.support.deploy.mutations.mutation import GONE, Mutation, another

API = "Deployment mlapi"
POD = "spec/template/spec"
OWN = f"{POD}/containers/mlapi"
HPA = "HorizontalPodAutoscaler mlapi"
SCALED = "ScaledObject mlapi"
ROUTES = "VirtualService mlapi"
RULE = "DestinationRule mlapi"
POLICY = "spec/trafficPolicy"
PROXY = "spec/template/metadata/annotations/proxy.istio.io~config"

SCALING = (
    Mutation(
        scaling.scaled_targets, "prod", HPA, "spec/scaleTargetRef/name", "api", "there is no Deployment api"
    ),
    Mutation(scaling.scaled_targets, "prod", HPA, "", another("twin"), "scaled by 2"),
    Mutation(scaling.scaled_targets, "keda", SCALED, "spec/scaleTargetRef/name", "lab", "scaled by 2"),
    Mutation(scaling.no_replicas, "prod", API, "spec/replicas", 2, "take it out"),
    Mutation(scaling.no_replicas, "keda", API, "spec/replicas", 2, "take it out"),
    Mutation(
        scaling.scaled_containers,
        "prod",
        HPA,
        "spec/metrics/0/containerResource/container",
        "api",
        "no container api",
    ),
    Mutation(
        scaling.scaled_containers,
        "prod",
        HPA,
        "spec/metrics/0",
        {
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
        },
        "dilutes",
    ),
    Mutation(
        scaling.scaled_containers, "prod", API, f"{OWN}/resources/requests/cpu", GONE, "requests no cpu"
    ),
    Mutation(
        scaling.scaled_containers, "keda", SCALED, "spec/triggers/2/metadata/containerName", GONE, "dilutes"
    ),
    Mutation(scaling.bounds, "prod", HPA, "spec/maxReplicas", 2, "between 2 and 2"),
    Mutation(scaling.bounds, "keda", SCALED, "spec/minReplicaCount", GONE, "between 0 and 10"),
    Mutation(
        scaling.budgets,
        "plain",
        "PodDisruptionBudget mlapi",
        "spec/maxUnavailable",
        "50%",
        "maxUnavailable: 1",
    ),
    Mutation(scaling.budgets, "plain", "PodDisruptionBudget mlapi", "spec/minAvailable", 1, "nothing else"),
    Mutation(
        scaling.rollouts, "plain", API, "spec/strategy/rollingUpdate/maxUnavailable", GONE, "maxUnavailable 0"
    ),
    Mutation(scaling.rollouts, "plain", API, "spec/strategy/type", "Recreate", "RollingUpdate"),
    Mutation(images.final_images, "plain", API, f"{OWN}/image", "registry.example/mlapi:v1", "has no digest"),
)

FLOWS = (
    Mutation(flows.denied_by_default, "prod", "NetworkPolicy default-deny", "", GONE, "closes"),
    Mutation(flows.flows_allowed, "prod", "NetworkPolicy cache", "", GONE, "egress of Deployment mlapi to"),
    Mutation(flows.flows_allowed, "prod", "NetworkPolicy redis", "", GONE, "ingress of Deployment mlapi to"),
    Mutation(flows.flows_allowed, "prod", "NetworkPolicy dns", "spec/egress/0/ports/1", GONE, "TCP 53"),
    Mutation(flows.flows_allowed, "prod", "NetworkPolicy dns", "spec/egress/0/ports/0", GONE, "UDP 53"),
    Mutation(flows.flows_allowed, "prod", "NetworkPolicy mesh", "", GONE, "mesh control plane"),
    Mutation(
        flows.flows_allowed, "prod", "NetworkPolicy gateway", "spec/ingress/0/ports/0/port", 80, "gateway to"
    ),
    Mutation(
        flows.flows_allowed,
        "prod",
        "NetworkPolicy gateway",
        "spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~metadata.name",
        "elsewhere",
        "gateway to",
    ),
    Mutation(flows.flows_allowed, "prod", "NetworkPolicy metrics", "", GONE, "prometheus to"),
    Mutation(flows.flows_allowed, "everything", "NetworkPolicy schedule", "", GONE, "Kubernetes API"),
    Mutation(flows.flows_allowed, "external", "NetworkPolicy cache", "", GONE, "Redis outside"),
    Mutation(
        flows.flows_allowed,
        "everything",
        "NetworkPolicy redis",
        "spec/ingress/0/from/0/podSelector",
        {"matchLabels": {"track": "stable"}},
        "mlapi-canary to",
    ),
    Mutation(
        flows.nothing_more_allowed, "prod", "NetworkPolicy gateway", "spec/ingress/0/from", GONE, "0.0.0.0/0"
    ),
    Mutation(
        flows.nothing_more_allowed,
        "prod",
        "NetworkPolicy redis",
        "spec/ingress/0/from",
        lambda there: [*there, {"ipBlock": {"cidr": "0.0.0.0/0"}}],
        "0.0.0.0/0",
    ),
    Mutation(
        flows.nothing_more_allowed,
        "prod",
        "NetworkPolicy gateway",
        "spec/ingress/0/ports",
        GONE,
        "every port",
    ),
    Mutation(
        flows.nothing_more_allowed,
        "prod",
        "NetworkPolicy gateway",
        "spec/ingress/0/ports/0/port",
        22,
        "22",
    ),
    Mutation(
        flows.nothing_more_allowed,
        "prod",
        "NetworkPolicy redis",
        "spec/ingress/0/from/0",
        {"ipBlock": {"cidr": "0.0.0.0/0"}},
        "6379",
    ),
)

REACH = (
    Mutation(
        flows.same_ports, "prod", "Service redis", "spec/ports/tcp-redis/port", 6380, "that of Deployment"
    ),
    Mutation(flows.platform_unasked, "prod", API, PROXY, "terminationDrainDuration: 40s", "CLOUD_PLATFORM"),
    Mutation(
        flows.platform_unasked,
        "everything",
        "Deployment mlapi-canary",
        "spec/template/metadata/annotations",
        GONE,
        "CLOUD_PLATFORM",
    ),
)

TIMES = (
    Mutation(
        times.keep_alive, "prod", RULE, f"{POLICY}/connectionPool/http/idleTimeout", "75s", "keep-alive"
    ),
    Mutation(times.keep_alive, "prod", RULE, f"{POLICY}/connectionPool/http/idleTimeout", GONE, "3600 s"),
    Mutation(times.route_timeouts, "prod", ROUTES, "spec/http/project/timeout", "10s", "within 10 s"),
    Mutation(times.route_timeouts, "prod", ROUTES, "spec/http/project-bulk/timeout", "15s", "within 300 s"),
    Mutation(times.route_timeouts, "prod", ROUTES, "spec/http/project/timeout", GONE, "has no timeout"),
    Mutation(
        times.route_timeouts,
        "prod",
        API,
        f"{OWN}/env",
        lambda env: [*env, {"name": "MLAPI_PREDICT_TIMEOUT_S", "value": "20"}],
        "within 20 s",
    ),
    Mutation(times.bulk_routes, "prod", ROUTES, "spec/http/lab-bulk", GONE, "no route for /lab/bulk-predict"),
    Mutation(
        times.termination_grace, "plain", API, f"{POD}/terminationGracePeriodSeconds", GONE, "must be above"
    ),
    Mutation(
        times.termination_grace, "plain", API, f"{OWN}/env/MLAPI_DRAIN_TIMEOUT_S/value", "60", "must be above"
    ),
    Mutation(
        times.termination_grace,
        "plain",
        API,
        f"{OWN}/lifecycle",
        {"preStop": {"sleep": {"seconds": 10}}},
        "must be above",
    ),
    Mutation(times.proxy_drain, "prod", API, PROXY, "holdApplicationUntilProxyStarts: true", "s or more"),
    Mutation(times.proxy_drain, "prod", API, PROXY, "terminationDrainDuration: 40s", "holdApplication"),
    Mutation(times.proxy_drain, "prod", API, f"{OWN}/env/MLAPI_DRAIN_GRACE_S/value", "6", "must be 41s"),
    Mutation(
        times.progress_deadline, "plain", API, "spec/progressDeadlineSeconds", 60, "progressDeadlineSeconds"
    ),
    Mutation(
        times.progress_deadline, "plain", API, f"{OWN}/startupProbe/failureThreshold", 600, "must be above"
    ),
    Mutation(times.shared_gate, "plain", API, f"{POD}/initContainers", lambda there: there[::-1], "in order"),
    Mutation(times.shared_gate, "plain", API, f"{POD}/initContainers/wait-dns", GONE, "in order"),
)

CASES = (*SCALING, *FLOWS, *REACH, *TIMES)
