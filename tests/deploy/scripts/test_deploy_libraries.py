"""The functions of scripts/lib that read YAML as text, against a YAML reader; the stand-ins themselves."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.deploy.kustomize import OVERLAYS, overlay, render, values_of
from tests.support.deploy.scripts.deployments import ROOT
from tests.support.deploy.scripts.standins import UNEXPECTED, StandIns

if TYPE_CHECKING:
    from pathlib import Path

AWKWARD = """apiVersion: v1
data:
  redis.conf: |-
    kind: Deployment
    ---
    metadata:
      name: not-this
  kind: value
kind: ConfigMap
metadata:
  annotations:
    name: not-this-either
  name: "quoted"
---
apiVersion: v1
kind: Secret
metadata:
  name: hidden
  namespace: elsewhere
data:
  password: aHVzaA==
---
apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    name: nor-this
  name: late
spec:
  progressDeadlineSeconds: 900
  template:
    metadata:
      name: nor-that
"""


def shell(script: str, *arguments: str) -> str:
    """Run a line of bash with the library of renders and return what it prints."""
    source = 'set -euo pipefail; root=$1; shift; . "$root/scripts/lib/render.sh"; '
    command = ["bash", "-c", source + script, "bash", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """A render that looks like others in places."""
    file = tmp_path / "awkward.yaml"
    file.write_text(AWKWARD, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", OVERLAYS)
def test_objects_of_a_render_are_those_that_a_yaml_reader_finds(name: str, tmp_path: Path) -> None:
    """If it fails, checks, waiting and deleting go by objects that are not there."""
    text = render(overlay(name))
    file = tmp_path / "render.yaml"
    file.write_text(text, encoding="utf-8")
    found = [tuple(line.split(" ")) for line in shell('objects "$1"', str(file)).splitlines()]
    assert found == [
        (one["apiVersion"], one["kind"], one["metadata"].get("namespace", "-"), one["metadata"]["name"])
        for one in yaml.safe_load_all(text)
    ]


def test_text_inside_of_an_object_is_no_object(awkward: Path) -> None:
    """If it fails, a configuration file in a ConfigMap is taken for manifests."""
    assert shell('objects "$1"', str(awkward)).splitlines() == [
        "v1 ConfigMap - quoted",
        "v1 Secret elsewhere hidden",
        "apps/v1 Deployment - late",
    ]


def test_secrets_are_left_out_and_nothing_else_is(awkward: Path) -> None:
    """If it fails, a saved render holds a password, or lacks an object."""
    without = list(yaml.safe_load_all(shell('documents without Secret "$1"', str(awkward))))
    assert without == [one for one in yaml.safe_load_all(AWKWARD) if one["kind"] != "Secret"]
    (only,) = yaml.safe_load_all(shell('documents only Secret "$1"', str(awkward)))
    assert only["metadata"]["name"] == "hidden"


def test_the_longest_progress_deadline_counts_and_600_where_none_is_stated(awkward: Path) -> None:
    """If it fails, the script gives up before Kubernetes does."""
    assert shell('progress_deadline "$1"', str(awkward)) == "900\n"
    awkward.write_text(AWKWARD.replace("  progressDeadlineSeconds: 900\n", ""), encoding="utf-8")
    assert shell('progress_deadline "$1"', str(awkward)) == "600\n"
    awkward.write_text(AWKWARD.replace("kind: Deployment\nmeta", "kind: CronJob\nmeta"), encoding="utf-8")
    assert shell('progress_deadline "$1"', str(awkward)) == "0\n"


@pytest.mark.parametrize("name", OVERLAYS)
def test_values_are_those_that_a_yaml_reader_finds(name: str) -> None:
    """If it fails, scripts and manifests go by different values."""
    values = values_of(name)
    assert values
    for key, value in values.items():
        assert shell('value "$1" "$2"', name, key) == f"{value}\n"
    assert shell('value "$1" "$2"', name, "no-such-key") == ""


def test_a_stand_in_refuses_what_nobody_expects(tmp_path: Path) -> None:
    """If it fails, a script can make any call unseen."""
    tools = StandIns(tmp_path / "bin")
    tools.on("kubectl get pods", stdout="none\n")
    run = {"capture_output": True, "text": True, "env": tools.environment()}
    expected = subprocess.run(["kubectl", "--context", "x", "get", "pods"], check=False, **run)  # type: ignore[call-overload]
    assert (expected.returncode, expected.stdout) == (0, "none\n")
    tools.no_surprises()
    surprise = subprocess.run(["kubectl", "delete", "pods"], check=False, **run)  # type: ignore[call-overload]
    assert surprise.returncode == UNEXPECTED
    with pytest.raises(AssertionError, match="kubectl delete pods"):
        tools.no_surprises()


def test_a_rule_for_the_first_calls_gives_way_to_the_one_before(tmp_path: Path) -> None:
    """If it fails, no test can say that something fails first and works later."""
    tools = StandIns(tmp_path / "bin")
    tools.on("kubectl get", stdout="later\n")
    tools.on("kubectl get", stdout="first\n", first=2)
    command = "kubectl get; kubectl get; kubectl get"
    done = subprocess.run(
        ["bash", "-c", command], check=True, capture_output=True, text=True, env=tools.environment()
    )
    assert done.stdout == "first\nfirst\nlater\n"
