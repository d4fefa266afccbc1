"""Which components of `.k8s/components` may be composed, as `combinations.yaml` states it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Self

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Combinations:
    """The rules.

    Attributes:
        order: Every component, in the order in which an overlay lists them.
        requires: By component, those that it cannot be without.
        excludes: Sets that must not stand in one overlay, each with the reason.
    """

    order: tuple[str, ...]
    requires: Mapping[str, frozenset[str]]
    excludes: Mapping[frozenset[str], str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file, and check that it names only components that it orders.

        Raises:
            ValueError: It names another, or states no reason.
        """
        stated: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        rules = cls(
            tuple(stated["order"]),
            {name: frozenset(others) for name, others in stated["requires"].items()},
            {frozenset(rule["components"]): rule["because"] for rule in stated["excludes"]},
        )
        named = frozenset(rules.requires).union(*rules.requires.values(), *rules.excludes)
        if unknown := named.difference(rules.order):
            raise ValueError(f"{path}: {sorted(unknown)} not in `order`")
        if not all(rules.excludes.values()):
            raise ValueError(f"{path}: an exclusion without a reason")
        return rules

    def problems(self, components: Collection[str]) -> list[str]:
        """Return what speaks against this set in this order; nothing where it is allowed."""
        listed = list(components)
        unknown = [f"{name}: no such component" for name in listed if name not in self.order]
        missing = [
            f"{name} requires {other}"
            for name in listed
            for other in sorted(self.requires.get(name, frozenset()).difference(listed))
        ]
        excluded = [
            f"{' and '.join(sorted(group))} exclude each other: {reason}"
            for group, reason in self.excludes.items()
            if group.issubset(listed)
        ]
        known = [name for name in listed if name in self.order]
        unordered = [
            f"{later} must stand after {earlier}"
            for later, earlier in combinations(known, 2)
            if self.order.index(later) > self.order.index(earlier)
        ]
        return [*unknown, *missing, *excluded, *unordered]

    def completed(self, components: Collection[str]) -> tuple[str, ...]:
        """Return the set with all that it requires, in the order in which it can be built."""
        wanted = set(components)
        while more := {other for name in wanted for other in self.requires.get(name, ())} - wanted:
            wanted |= more
        return tuple(sorted(wanted, key=self.order.index))

    def allowed(self) -> Iterator[tuple[str, ...]]:
        """Yield every set of components that has no problem, smaller ones first."""
        for size in range(len(self.order) + 1):
            for chosen in combinations(self.order, size):
                if not self.problems(chosen):
                    yield chosen
