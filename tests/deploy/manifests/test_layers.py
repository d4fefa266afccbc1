"""The layers that deploy.sh writes over the overlays: what is applied to a cluster passes every check."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploy.cross_checks.registry import CHECKS, FINAL, findings
from tests.support.deploy.kustomize import K8S, build, needs_kubectl, values_of
from tests.support.deploy.matrix import FURTHER_VALUES
from tests.support.deploy.objects import environment, find, workloads
from tests.support.deploy.schemas import faults, versions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.objects import Object

PINNED = "registry.example/mlapi@sha256:" + "a" * 64
CANARY = "registry.example/mlapi@sha256:" + "b" * 64
WRITE = """
root=$1 environment=$2 image=$3 canary_image=$4 canary_weight=10 dry_run=0 reachable=0 work=$1
generated=$root/.k8s/.generated layer=$root/.k8s/.generated/$2
die() { printf '%s\\n' "$*" >&2; exit 1; }
say() { :; }
. "$5"
write_layer
"""


def _applied(root: Path, name: str, *, canary: str = "") -> list[Object]:
    """Return what deploy.sh would apply, from a copy of the manifests."""
    needs_kubectl()
    shutil.copytree(K8S, root / ".k8s", ignore=shutil.ignore_patterns(".generated"))
    script = K8S.parent / "scripts" / "lib" / "layer.sh"
    command = ["bash", "-euo", "pipefail", "-c", WRITE, "-", str(root), name, PINNED, canary, str(script)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return build(root / ".k8s" / ".generated" / name)


@pytest.mark.parametrize(("name", "canary"), [("dev", ""), ("prod", ""), ("prod", CANARY)])
def test_what_is_applied_passes_every_check(tmp_path: Path, name: str, canary: str) -> None:
    """The layer breaks what the overlay has right, or leaves an image without its digest."""
    objects = _applied(tmp_path, name, canary=canary)
    assert [line for version in versions() for line in faults(objects, version)] == []
    assert findings(objects, (*CHECKS, *FINAL)) == []
    assert (find(objects, "Deployment", "mlapi-canary") is not None) == bool(canary)


def test_the_mesh_can_be_added_to_dev(tmp_path: Path) -> None:
    """What the page on the manifests says of Minikube with Istio cannot be built, or is not consistent."""
    shutil.copytree(K8S, tmp_path / ".k8s", ignore=shutil.ignore_patterns(".generated"))
    page = (K8S / "README.md").read_text(encoding="utf-8")
    (added,) = re.findall(r"```yaml\n(components:\n(?:  - .*\n)+)```", page)
    overlay = tmp_path / ".k8s" / "overlays" / "dev"
    with (overlay / "kustomization.yaml").open("a", encoding="utf-8") as kustomization:
        kustomization.write(added)
    path = overlay / "values.yaml"
    stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    stated["data"] = {**FURTHER_VALUES, **values_of("prod"), **stated["data"]}
    path.write_text(yaml.safe_dump(stated), encoding="utf-8")
    needs_kubectl()
    objects = build(overlay)
    assert [line for version in versions() for line in faults(objects, version)] == []
    assert findings(objects) == []
    assert find(objects, "Gateway", "mlapi") is not None


def test_each_track_runs_its_own_image(tmp_path: Path) -> None:
    """The canary runs the stable image, or its gate does: what is tried out is not what was built."""
    images = {
        one.name: {container["image"] for container in one.all_containers}
        for one in workloads(_applied(tmp_path, "prod", canary=CANARY))
    }
    assert images["Deployment mlapi"] == images["Deployment lab"] == {PINNED}
    assert images["Deployment mlapi-canary"] == {CANARY}


def test_redis_of_dev_has_a_password(tmp_path: Path) -> None:
    """Whoever reaches Minikube's Redis reads what was asked of the service."""
    objects = _applied(tmp_path, "dev")
    api = next(one for one in workloads(objects) if one.name == "Deployment mlapi")
    assert environment(objects, api.containers[0])["MLAPI_REDIS_PASSWORD_FILE"] == "/etc/redis-auth/password"
    assert find(objects, "Secret", "redis-auth") is not None
