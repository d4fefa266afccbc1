"""All cross-checks, in the order in which their findings are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.support.deploy.cross_checks import (
    authorization,
    flows,
    identity,
    images,
    mounts,
    pod_security,
    ports,
    probes,
    resilience,
    resources,
    routes,
    scaling,
    selectors,
    settings,
    times,
)
from tests.support.deploy.objects import Object

Check = Callable[[Sequence[Object]], list[str]]
"""Returns one line for each fault, which says what to mend; nothing where all is well."""

CHECKS: tuple[Check, ...] = (
    identity.unique_names,
    identity.namespaces,
    identity.nothing_unresolved,
    identity.labels,
    selectors.selectors,
    selectors.owners_match_their_pods,
    selectors.name_and_track,
    ports.target_ports,
    ports.metrics_stay_inside,
    ports.scraped_ports,
    ports.listening_ports,
    mounts.mounts_have_volumes,
    mounts.sources_exist,
    mounts.keys_exist,
    mounts.files_are_mounted,
    settings.known_settings,
    settings.readable_settings,
    settings.secrets_are_files,
    scaling.scaled_targets,
    scaling.no_replicas,
    scaling.scaled_containers,
    scaling.bounds,
    scaling.budgets,
    scaling.rollouts,
    images.pinned_images,
    images.nothing_deprecated,
    pod_security.restricted,
    pod_security.namespace_enforces,
    pod_security.read_only_roots,
    pod_security.no_tokens,
    pod_security.least_privilege,
    pod_security.no_service_links,
    probes.all_probes,
    probes.probed_paths,
    resources.requests_and_limits,
    resources.bounded_volumes,
    resources.redis_fits,
    routes.routed_services,
    routes.rules_have_services,
    routes.own_gateways,
    routes.path_matches,
    routes.routes_match_prefixes,
    routes.reachable_first,
    routes.weights,
    resilience.safe_retries,
    resilience.careful_ejection,
    resilience.connection_limits,
    authorization.requests_authorised,
    authorization.nothing_for_everyone,
    authorization.scraped_in_the_clear,
    authorization.redis_outside_the_mesh,
    flows.denied_by_default,
    flows.flows_allowed,
    flows.nothing_more_allowed,
    flows.same_ports,
    flows.platform_unasked,
    times.keep_alive,
    times.route_timeouts,
    times.bulk_routes,
    times.termination_grace,
    times.proxy_drain,
    times.progress_deadline,
    times.shared_gate,
)
FINAL: tuple[Check, ...] = (images.final_images,)
"""What holds of what is applied to a cluster, and not yet of an overlay."""


def findings(objects: Sequence[Object], checks: Sequence[Check] = CHECKS) -> list[str]:
    """Return what every check finds."""
    return [line for check in checks for line in check(objects)]
