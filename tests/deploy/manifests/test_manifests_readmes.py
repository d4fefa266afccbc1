"""What the pages of the components tell their readers to type and to apply."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploy.cross_checks.pod_security import restricted
from tests.support.deploy.cross_checks.times import meshed
from tests.support.deploy.kustomize import K8S
from tests.support.deploy.objects import find, workloads

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.objects import Object
    from tests.support.deploy.renders import Renders

PAGES = sorted((K8S / "components").glob("*/README.md"))
COMMAND = re.compile(r"`kubectl\s+([^`]+)`|^\s*\$.*?\bkubectl ([^|\n]+)", re.MULTILINE)
IN_A_NAMESPACE = re.compile(r"(?:-n|--namespace) \S+")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_commands_name_the_namespace(page: Path) -> None:
    """A check finds nothing in the namespace `default`, and says that something is off which is not."""
    commands = [inline or typed for inline, typed in COMMAND.findall(page.read_text("utf-8"))]

    asking = [one for one in commands if " " in one and not one.startswith(("kustomize ", "apply "))]
    assert [one for one in asking if not IN_A_NAMESPACE.search(one)] == []


@pytest.fixture
def filler() -> Object:
    """The pod by which the page of model-volume fills the volume, as something that makes pods."""
    text = (K8S / "components" / "model-volume" / "README.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    pod = yaml.safe_load(block)
    template = {"metadata": {"labels": pod["metadata"].get("labels", {})}, "spec": pod["spec"]}
    return {"kind": "Job", "metadata": {"name": pod["metadata"]["name"]}, "spec": {"template": template}}


def test_the_pod_that_fills_the_volume_is_let_in(renders: Renders, filler: Object) -> None:
    """The namespace refuses the pod, its proxy waits for a mesh out of its reach, or it mounts nothing."""
    (pod,) = workloads([filler])
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod.spec["volumes"]]

    assert restricted([filler]) == []
    assert not meshed([*renders["prod"], filler], pod)
    assert [find(renders["external"], "PersistentVolumeClaim", name) is not None for name in claims] == [True]
