"""The overlays and the combinations of components: they build, fit the schemas, and are consistent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploy import kustomize
from tests.support.deploy.cross_checks.registry import FINAL, findings
from tests.support.deploy.kustomize import K8S, OVERLAYS, values_of
from tests.support.deploy.matrix import Built, build_overlay, build_sets, chosen, overlay_components
from tests.support.deploy.objects import find, name_of
from tests.support.deploy.schemas import faults, versions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.objects import Object

OLD_FIELDS = ("bases", "commonLabels", "imageTags", "patchesJson6902", "patchesStrategicMerge", "vars")
"""Of kustomizations: deprecated."""


@pytest.fixture(scope="module")
def matrix() -> list[Built]:
    """Every pair of components, and every set that takes no more, built."""
    kustomize.needs_kubectl()
    return build_sets(chosen(kustomize.rules()))


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Built:
    """An overlay as it stands in the repository."""
    kustomize.needs_kubectl()
    return build_overlay(request.param)


def _objects(built: Built) -> tuple[Object, ...]:
    assert not built.error, f"{built.name}: {built.error}"
    return built.objects


def test_overlays_fit_the_schemas(overlay: Built) -> None:
    """A cluster of one of the newest Kubernetes versions would refuse or ignore part of an overlay."""
    assert [line for version in versions() for line in faults(_objects(overlay), version)] == []


def test_overlays_are_consistent(overlay: Built) -> None:
    """What an overlay applies does not fit together: a cross-check says what to mend."""
    assert findings(_objects(overlay)) == []


def test_combinations_build(matrix: list[Built]) -> None:
    """An allowed combination of components cannot be built."""
    assert {built.name: built.error for built in matrix if built.error} == {}


def test_combinations_fit_the_schemas(matrix: list[Built]) -> None:
    """A cluster would refuse or ignore part of an allowed combination of components."""
    wrong = {
        built.name: lines
        for built in matrix
        if (lines := [line for version in versions() for line in faults(built.objects, version)])
    }
    assert wrong == {}


def test_combinations_are_consistent(matrix: list[Built]) -> None:
    """An allowed combination of components does not fit together: a cross-check says what to mend."""
    assert {built.name: lines for built in matrix if (lines := findings(built.objects))} == {}


def test_every_component_is_in_a_combination(matrix: list[Built]) -> None:
    """A component exists that combinations.yaml does not order: no test would build it."""
    assert {name for built in matrix for name in built.components} == set(kustomize.components())


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_compose_what_goes_together(name: str) -> None:
    """An overlay composes components that exclude each other, or in an order that breaks them."""
    assert kustomize.rules().problems(overlay_components(name)) == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_values_reach_their_places(name: str) -> None:
    """An overlay's namespace stands somewhere else than in its values, or its values become an object."""
    kustomize.needs_kubectl()
    objects = _objects(build_overlay(name))
    wanted = values_of(name)["namespace"]
    assert {one["metadata"].get("namespace", one["metadata"]["name"]) for one in objects} == {wanted}
    assert find(objects, "ConfigMap", "values") is None


def test_an_environment_is_named_in_its_values_alone() -> None:
    """A value of prod stands in a second file, where a change would be forgotten."""
    values = {key: text for key, text in values_of("prod").items() if "." in text or "/" in text}
    again = [
        f"{path.relative_to(K8S)}: {key}"
        for path in sorted(K8S.rglob("*.yaml"))
        if path.name != "values.yaml" and ".generated" not in path.parts
        for key, text in values.items()
        if text in path.read_text(encoding="utf-8")
    ]
    assert again == []


def _kustomizations() -> list[Path]:
    return [path for path in sorted(K8S.rglob("kustomization.yaml")) if ".generated" not in path.parts]


def test_kustomizations_use_no_deprecated_field() -> None:
    """A kustomization says something that Kustomize warns of and will stop to read."""
    found = [
        f"{path.relative_to(K8S)}: {field}"
        for path in _kustomizations()
        for field in yaml.safe_load(path.read_text(encoding="utf-8"))
        if field in OLD_FIELDS
    ]
    assert found == []


def test_each_file_holds_one_object_and_is_named_after_it() -> None:
    """An object stands in a file where nobody would look for it."""
    wrong = []
    for path in sorted(K8S.rglob("*-*.yaml")):
        loaded = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        if isinstance(loaded[0], dict) and "kind" in loaded[0] and ".generated" not in path.parts:
            name = name_of(loaded[0]).lower().replace(" ", "-")
            any_name = re.fullmatch(rf"{loaded[0]['kind'].lower()}-[a-z-]+\.yaml", path.name)
            patched = loaded[0]["metadata"]["name"] == "any" and any_name
            if len(loaded) != 1 or (path.name != f"{name}.yaml" and not patched):
                wrong.append(f"{path.relative_to(K8S)}: holds {[name_of(one) for one in loaded]}")
    assert wrong == []


def test_an_overlay_is_not_final() -> None:
    """The check of what deploy.sh applies would pass an image without a digest."""
    kustomize.needs_kubectl()
    assert any("deploy.sh adds it" in line for line in findings(_objects(build_overlay("prod")), FINAL))
