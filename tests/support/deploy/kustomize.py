"""Renders kustomizations: the overlays, and combinations of components that no overlay has."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploy.combinations import Combinations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.deploy.objects import Object

K8S = Path(__file__).resolve().parents[3] / ".k8s"
OVERLAYS = ("dev", "prod")
COMBINATIONS = K8S / "components" / "combinations.yaml"
HEADER = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
TIMEOUT_S = 60
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Without libyaml the one in Python, which takes five times as long."""


class BuildError(Exception):
    """What kubectl says of a kustomization that cannot be built."""


def needs_kubectl() -> str:
    """Return the path of kubectl, or skip the test."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on PATH")
    return kubectl


def render(folder: Path) -> str:
    """Return what `kubectl kustomize` prints for a folder.

    Raises:
        BuildError: It does not build.
    """
    done = subprocess.run(
        [needs_kubectl(), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise BuildError(done.stderr.strip())
    if done.stderr:  # a deprecated field, most likely
        raise BuildError(f"built with a warning: {done.stderr.strip()}")
    return done.stdout


def build(folder: Path) -> list[Object]:
    """Return the objects of a kustomization.

    Raises:
        BuildError: It does not build.
    """
    return [one for one in yaml.load_all(render(folder), Loader=LOADER) if one is not None]


def overlay(name: str) -> Path:
    """Return the folder of `dev` or `prod`."""
    return K8S / "overlays" / name


def components() -> list[str]:
    """Return the components that there are."""
    return sorted(path.parent.name for path in (K8S / "components").glob("*/kustomization.yaml"))


def rules() -> Combinations:
    """Return which of them go together."""
    return Combinations.read(COMBINATIONS)


def values_of(name: str) -> dict[str, str]:
    """Return the values of an overlay."""
    data: dict[str, str] = yaml.safe_load((overlay(name) / "values.yaml").read_text(encoding="utf-8"))["data"]
    return data


def write_layer(
    folder: Path,
    names: Sequence[str],
    *,
    over: Path = K8S / "base",
    values: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write a kustomization that composes components over another one, and return its folder.

    Args:
        folder: An empty folder anywhere.
        names: The components, in this order.
        over: What they are put over: the base, or an overlay.
        values: Over the base: all there are. Over an overlay: those to add or to change for these components;
            what the overlay itself made of its values stays.
        more: Further fields of the kustomization, such as `images`, or resources beside `over`.
    """
    further = dict(more or {})
    resources = [*further.pop("resources", [])]
    if values is not None and over == K8S / "base":
        _write(folder / "values.yaml", _values(values))
        resources.append("values.yaml")
    elif values is not None:
        over = _with_values(folder / "values", over, values)
    kustomization = {
        **HEADER,
        "resources": [_relative(over, folder), *resources],
        "components": [_relative(K8S / "components" / name, folder) for name in names],
        "transformers": [_relative(K8S / "transformers", folder)],
        **further,
    }
    _write(folder / "kustomization.yaml", kustomization)
    return folder


def _with_values(folder: Path, over: Path, values: Mapping[str, str]) -> Path:
    """Write a layer of its own for the values: a kustomization's patches run after its components."""
    folder.mkdir()
    patch = yaml.safe_dump(_values(values))
    _write(
        folder / "kustomization.yaml",
        {**HEADER, "resources": [_relative(over, folder)], "patches": [{"patch": patch}]},
    )
    return folder


def _values(values: Mapping[str, str]) -> dict[str, Any]:
    annotations = {"config.kubernetes.io/local-config": "true"}
    metadata = {"name": "values", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(values)}


def _relative(path: Path, folder: Path) -> str:
    """Return a path as kustomize wants it, which takes no absolute folder."""
    return os.path.relpath(path.resolve(), folder.resolve())


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
