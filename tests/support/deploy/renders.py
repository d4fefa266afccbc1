"""Renders that tests change, each built once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.deploy import kustomize
from tests.support.deploy.matrix import Built, build_overlay, build_sets

if TYPE_CHECKING:
    from tests.support.deploy.objects import Object

SETS = {
    "plain": (),
    "everything": (
        "hpa",
        "istio-gateway",
        "network-policies",
        "monitoring",
        "schedule",
        "external-secrets",
        "canary",
    ),
    "keda": ("hpa", "network-policies", "keda"),
    "external": ("network-policies", "redis-auth", "redis-external", "redis-ca", "model-volume"),
}
"""By name, what each is composed of, to which comes what that requires."""


class Renders:
    """Renders by name: `dev`, `prod`, and those of `SETS`."""

    def __init__(self) -> None:
        self._built: dict[str, Built] = {}

    def __getitem__(self, name: str) -> tuple[Object, ...]:
        """Return a render's objects, which are to be copied before they are changed."""
        if name not in self._built:
            if name in SETS:
                (self._built[name],) = build_sets([kustomize.rules().completed(SETS[name])])
            else:
                self._built[name] = build_overlay(name)
        built = self._built[name]
        assert not built.error, built.error
        return built.objects
