"""Which components go together: what is forbidden is refused by everything that composes them."""

from __future__ import annotations

import subprocess
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from scripts.check_manifests import problems
from tests.support.deploy.combinations import Combinations
from tests.support.deploy.kustomize import COMBINATIONS, K8S, rules
from tests.support.deploy.matrix import Built

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LAYER = K8S.parent / "scripts" / "lib" / "layer.sh"
RULES = rules()
FORBIDDEN = {"+".join(sorted(group)): tuple(sorted(group, key=RULES.order.index)) for group in RULES.excludes}
ALONE = {name: RULES.requires[name] for name in RULES.requires}


def _refusals(sets: Iterable[tuple[str, ...]]) -> list[str]:
    """Return what deploy.sh says of each set of components; nothing of one that it takes."""
    script = """
        root=$1 environment=test
        . "$2"
        die() { printf '%s\\n' "$*" | tr '\\n' ' '; exit 1; }
        while read -r names; do
            components() { printf '%s\\n' $names; }
            (check_combination) || true
            echo
        done
    """
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "-", str(K8S.parent), str(LAYER)],
        input="".join(f"{' '.join(names)}\n" for names in sets),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("names", FORBIDDEN.values(), ids=FORBIDDEN)
def test_components_that_exclude_each_other_are_refused(names: tuple[str, ...]) -> None:
    """deploy.sh or CI composes components of which one breaks the other."""
    together = RULES.completed(names)
    (reason,) = [why for group, why in RULES.excludes.items() if group == frozenset(names)]
    (refusal,) = _refusals([together])
    assert reason in refusal
    assert any(reason in line for line in problems(Built("test", together)))


@pytest.mark.parametrize("name", ALONE)
def test_a_component_without_what_it_needs_is_refused(name: str) -> None:
    """deploy.sh or CI composes a component that does nothing, or breaks, without another one."""
    (refusal,) = _refusals([(name,)])
    for needed in ALONE[name]:
        assert f"{name} needs {needed}" in refusal
        assert any(needed in line for line in problems(Built("test", (name,))))


def test_deploy_and_the_checks_agree_on_every_pair() -> None:
    """deploy.sh refuses what is tested, or takes what never was."""
    pairs = [RULES.completed(pair) for pair in combinations(RULES.order, 2)]
    bare = list(combinations(RULES.order, 2))
    sets = [*pairs, *bare, RULES.order]
    said = dict(zip(sets, _refusals(sets), strict=True))
    assert [one for one in sets if bool(said[one]) != bool(RULES.problems(one))] == []


def test_the_order_is_checked() -> None:
    """A component that patches what a later one brings stands before it, and silently does nothing."""
    first, second = RULES.order.index("istio"), RULES.order.index("network-policies")
    wrong = ("istio", "network-policies") if first > second else ("network-policies", "istio")
    assert any("must stand after" in line for line in RULES.problems(wrong))
    assert RULES.problems(wrong[::-1]) == []


def test_an_unknown_component_is_refused() -> None:
    """A misspelt component passes the check that a build would fail at."""
    assert RULES.problems(("hpaa",)) == ["hpaa: no such component"]


def test_an_exclusion_needs_a_reason(tmp_path: Path) -> None:
    """Whoever is refused is not told why."""
    text = COMBINATIONS.read_text(encoding="utf-8")
    path = tmp_path / "combinations.yaml"
    path.write_text("\n".join(line for line in text.splitlines() if "because:" not in line), encoding="utf-8")
    with pytest.raises((KeyError, ValueError)):
        Combinations.read(path)
