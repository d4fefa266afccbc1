"""What differs between environments stands in one file of each overlay, and reaches its places from there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploy import kustomize
from tests.support.deploy.matrix import FURTHER_VALUES, overlay_components
from tests.support.deploy.objects import find, strings_in
from tests.support.http_server import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = sorted((REPOSITORY / "scripts" / "lib").glob("*.sh"))
SCRIPTS = [REPOSITORY / "build-push.sh", REPOSITORY / "deploy.sh", *LIBRARY]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def read_by(folder: Path) -> set[str]:
    """Return the values that the replacements of a kustomization read."""
    files = folder.glob("*.yaml")
    sources = (
        replacement["source"]
        for file in files
        for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if isinstance(one, dict)
        for replacement in one.get("replacements", [])
    )
    return {one["fieldPath"].removeprefix("data.") for one in sources if one.get("name") == "values"}


def read_by_scripts() -> set[str]:
    """Return the values that the scripts read."""
    texts = (re.sub(r"(?m)^\s*#.*", "", file.read_text(encoding="utf-8")) for file in SCRIPTS)
    return {key for text in texts for key in re.findall(r'\bvalue (?:"\$\w+"|\w+) (\w+)', text)}


def read_by_workflows() -> set[str]:
    """Return the values that the workflows ask for."""
    texts = (file.read_text(encoding="utf-8") for file in WORKFLOWS)
    return {
        key for text in texts for keys in re.findall(r"values\.sh \w+ ([\w ]+)", text) for key in keys.split()
    }


@pytest.mark.parametrize("component", kustomize.components())
def test_the_readme_of_a_component_names_the_values_that_it_reads(component: str) -> None:
    """Whoever composes the component would learn from failed builds what it needs."""
    folder = kustomize.K8S / "components" / component
    described = (folder / "README.md").read_text(encoding="utf-8")

    assert {key for key in read_by(folder) if f"`{key}`" not in described} == set()


@pytest.mark.parametrize("name", kustomize.OVERLAYS)
def test_every_value_of_an_overlay_is_read(name: str) -> None:
    """Somebody would change a value and wonder why nothing changes."""
    read = read_by(kustomize.K8S / "transformers") | read_by_scripts() | read_by_workflows()
    for component in overlay_components(name):
        read |= read_by(kustomize.K8S / "components" / component)

    assert set(kustomize.values_of(name)) - read == set()


def test_the_overview_names_every_value_there_is() -> None:
    """The table of values would not say where one of them goes."""
    described = (kustomize.K8S / "README.md").read_text(encoding="utf-8")
    folders = [kustomize.K8S / "transformers", *(kustomize.K8S / "components").iterdir()]
    read = set().union(*(read_by(folder) for folder in folders)) | read_by_scripts() | read_by_workflows()

    assert {key for key in read if f"`{key}`" not in described} == set()


def test_production_leaves_its_registry_to_account_and_region() -> None:
    """Whoever fills in the account alone would push to the registry of another one, which wins."""
    values = kustomize.values_of("prod")

    assert {"account", "region"} <= values.keys()
    assert "registry" not in values


@pytest.mark.parametrize("name", kustomize.OVERLAYS)
def test_another_namespace_reaches_everything(tmp_path: Path, name: str) -> None:
    """A second deployment into the same cluster would reach into the first one's namespace."""
    original = (kustomize.overlay(name) / "values.yaml").read_text(encoding="utf-8")
    copied = tmp_path / "k8s" / "overlays" / name
    _copy(kustomize.K8S, tmp_path / "k8s")
    old = kustomize.values_of(name)["namespace"]
    changed = original.replace(f'namespace: "{old}"', 'namespace: "elsewhere"')
    (copied / "values.yaml").write_text(changed, encoding="utf-8")

    objects = kustomize.build(copied)

    assert changed != original
    assert find(objects, "Namespace", "elsewhere") is not None
    assert {one["metadata"].get("namespace", "elsewhere") for one in objects} == {"elsewhere"}
    assert [text for text in strings_in(objects) if re.search(rf"\b{old}\.svc\b|ns/{old}/", text)] == []


@pytest.mark.parametrize("name", kustomize.OVERLAYS)
def test_components_go_over_a_finished_overlay(tmp_path: Path, name: str) -> None:
    """The layer of deploy.sh could not add a component, such as Minikube's password for Redis."""
    present = overlay_components(name)
    reachable = [one for one in kustomize.rules().allowed() if one[: len(present)] == present]
    largest = [one for one in reachable if not any(set(one) < set(other) for other in reachable)]
    values = {**FURTHER_VALUES, **kustomize.values_of("prod"), **kustomize.values_of(name)}

    for number, listed in enumerate(largest):
        folder = tmp_path / str(number)
        folder.mkdir()
        added = listed[len(present) :]
        layer = kustomize.write_layer(folder, added, over=kustomize.overlay(name), values=values)
        namespaces = {one["metadata"].get("namespace") for one in kustomize.build(layer)}
        assert namespaces == {values["namespace"], None}, "None is that of the Namespace itself"

    assert {component for one in largest for component in one} - set(present)


def _copy(source: Path, target: Path) -> None:
    """Copy what kustomize reads, without what deploy.sh made."""
    for file in source.rglob("*"):
        place = file.relative_to(source)
        if file.is_file() and place.parts[0] != ".generated":
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            (target / place).write_bytes(file.read_bytes())
