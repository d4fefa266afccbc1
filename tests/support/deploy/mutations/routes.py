"""Faults of routes and of the mesh that the cross-checks must notice."""

from __future__ import annotations

from tests.support.deploy.cross_checks import authorization, resilience, routes
from tests.support.deploy.mutations.mutation import GONE, Mutation, another

API = "Deployment mlapi"
ROUTES = "VirtualService mlapi"
RULE = "DestinationRule mlapi"
POLICY = "spec/trafficPolicy"

ROUTING = (
    Mutation(routes.routed_services, "prod", "Service lab", "", GONE, "there is no Service lab"),
    Mutation(
        routes.routed_services,
        "prod",
        ROUTES,
        "spec/http/0/route/0/destination/port",
        {"number": 8000},
        "no port 8000",
    ),
    Mutation(
        routes.routed_services, "prod", ROUTES, "spec/http/0/route/0/destination/subset", "v2", "subset v2"
    ),
    Mutation(
        routes.routed_services, "prod", API, "spec/template/metadata/labels/track", "canary", "has no pods"
    ),
    Mutation(routes.rules_have_services, "prod", RULE, "spec/host", "api", "no such Service"),
    Mutation(routes.rules_have_services, "prod", RULE, "", another("twin"), "several DestinationRules"),
    Mutation(routes.own_gateways, "everything", "Gateway mlapi", "", GONE, "there is no Gateway mlapi"),
    Mutation(routes.own_gateways, "everything", ROUTES, "spec/hosts", ["a.example"], "does not serve"),
    Mutation(
        routes.path_matches,
        "prod",
        ROUTES,
        "spec/http/project/match/1/uri/prefix",
        "/project",
        "with a slash",
    ),
    Mutation(
        routes.routes_match_prefixes, "prod", ROUTES, "spec/http/lab/match/0/uri/exact", "/project", "sends"
    ),
    Mutation(
        routes.routes_match_prefixes, "everything", ROUTES, "spec/http/v2/rewrite", {"uri": "/"}, "sends /"
    ),
    Mutation(routes.routes_match_prefixes, "prod", ROUTES, "spec/http/lab/match", GONE, "matches every path"),
    Mutation(
        routes.reachable_first, "everything", ROUTES, "spec/http", lambda there: there[::-1], "earlier route"
    ),
    Mutation(routes.weights, "everything", ROUTES, "spec/http/project/route/1/weight", 20, "not 100"),
    Mutation(resilience.safe_retries, "prod", ROUTES, "spec/http/project/retries", GONE, "on 503 too"),
    Mutation(resilience.safe_retries, "prod", ROUTES, "spec/http/project/retries/attempts", 2, "repeat once"),
    Mutation(
        resilience.safe_retries, "prod", ROUTES, "spec/http/project/retries/retryOn", "503", "repeat once"
    ),
    Mutation(
        resilience.careful_ejection,
        "prod",
        RULE,
        f"{POLICY}/outlierDetection/consecutive5xxErrors",
        GONE,
        "ejects",
    ),
    Mutation(
        resilience.careful_ejection,
        "prod",
        RULE,
        f"{POLICY}/outlierDetection/splitExternalLocalOriginErrors",
        value=False,
        says="split",
    ),
    Mutation(resilience.connection_limits, "prod", RULE, f"{POLICY}/connectionPool", GONE, "without a limit"),
)

MESH = (
    Mutation(
        authorization.requests_authorised,
        "prod",
        "AuthorizationPolicy mlapi",
        "spec/rules/0/to/0/operation/paths",
        ["/lab/*"],
        "/project/predict",
    ),
    Mutation(
        authorization.requests_authorised,
        "prod",
        "AuthorizationPolicy mlapi",
        "spec/rules/1/to/0/operation/ports",
        ["9091"],
        "/metrics",
    ),
    Mutation(
        authorization.nothing_for_everyone,
        "prod",
        "AuthorizationPolicy lab",
        "spec/rules/0/from",
        GONE,
        "everyone",
    ),
    Mutation(
        authorization.scraped_in_the_clear,
        "prod",
        "PeerAuthentication metrics",
        "spec/portLevelMtls",
        GONE,
        "9090",
    ),
    Mutation(
        authorization.redis_outside_the_mesh, "prod", "DestinationRule redis", "", GONE, "tls mode DISABLE"
    ),
    Mutation(
        authorization.redis_outside_the_mesh,
        "prod",
        "Deployment redis",
        "spec/template/metadata/labels/sidecar.istio.io~inject",
        GONE,
        "gets a proxy",
    ),
)

CASES = (*ROUTING, *MESH)
