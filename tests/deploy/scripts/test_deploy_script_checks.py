"""What deploy.sh checks before it touches anything: tools, contexts, and the kinds that the cluster knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.scripts.deployments import PINNED, refused
from tests.support.deploy.scripts.kubectl_answers import REFUSED, api_resources, api_versions

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


@pytest.mark.parametrize("tool", ["kubectl", "minikube", "docker", "curl"])
def test_a_missing_tool_is_named_with_where_to_get_it(dev: Deployment, tool: str) -> None:
    """If it fails, the script stops half-way with `command not found`."""
    (dev.tools.folder / tool).unlink(missing_ok=True)
    dev.tools.hidden.add(tool)
    refused(dev, dev.run("--yes"), "not on PATH", f"{tool}: ")


def test_all_missing_tools_are_named_at_once(dev: Deployment) -> None:
    """If it fails, people install one tool after the other, each time to learn of the next."""
    for tool in ("kubectl", "curl"):
        (dev.tools.folder / tool).unlink(missing_ok=True)
        dev.tools.hidden.add(tool)
    refused(dev, dev.run("--yes"), "kubectl: https://", "curl: the package")


@pytest.mark.parametrize("version", ["v1.26.9", "v1.3.0", ""])
def test_an_old_kubectl_is_refused(dev: Deployment, version: str) -> None:
    """If it fails, an old kustomize fails later with an error that nobody understands."""
    dev.tools.on("kubectl version --client", stdout=f'{{"clientVersion": {{\n"gitVersion": "{version}"\n}}}}')
    refused(dev, dev.run("--yes"), "1.27 or newer")


def test_another_current_context_is_refused(prod: Deployment) -> None:
    """If it fails, production's manifests are applied to whatever cluster was used last."""
    prod.tools.on("kubectl config current-context", stdout="minikube\n")
    named = prod.values["context"]
    done = prod.run("--yes", "--image", PINNED)
    refused(prod, done, "the current kubectl context is minikube", f"kubectl config use-context {named}")
    assert not prod.tools.calls("kubectl api-versions"), "the other cluster is not even asked"


def test_no_current_context_is_refused(prod: Deployment) -> None:
    """If it fails, a machine without any context gets an error that does not say what to do."""
    prod.tools.on("kubectl config current-context", stderr="error: current-context is not set\n", status=1)
    refused(prod, prod.run("--yes", "--image", PINNED), "no kubectl context is set")


def test_a_context_that_is_named_is_taken_for_every_call(prod: Deployment) -> None:
    """If it fails, some calls go to the current context all the same."""
    prod.tools.on("kubectl config get-contexts staging", stdout="staging\n")
    assert prod.run("--yes", "--image", PINNED, "--context", "staging").returncode == 0
    asked = [call for call in prod.tools.calls("kubectl") if "--context" in call.arguments]
    assert {call.arguments[1] for call in asked} == {"staging"}
    for words in ("kubectl apply", "kubectl diff", "kubectl rollout", "kubectl get", "kubectl delete"):
        assert prod.tools.calls(words)
        assert all("--context" in call.arguments for call in prod.tools.calls(words))


def test_an_unknown_context_is_refused(prod: Deployment) -> None:
    """If it fails, a misspelt context ends in an error about a server on localhost."""
    prod.tools.on("kubectl config get-contexts", stderr="error: context stagin not found\n", status=1)
    refused(prod, prod.run("--yes", "--image", PINNED, "--context", "stagin"), "knows no context stagin")


def test_a_cluster_that_does_not_answer_is_named(prod: Deployment) -> None:
    """If it fails, an expired login looks like an error of the manifests."""
    prod.tools.on("kubectl api-versions", stderr=REFUSED, status=1)
    refused(prod, prod.run("--yes", "--image", PINNED), "does not answer", "was refused")


@pytest.mark.parametrize(
    ("group", "component", "install"),
    [
        ("networking.istio.io", "component istio", "Istio"),
        ("external-secrets.io", "component external-secrets", "External Secrets Operator"),
        ("monitoring.coreos.com", "component monitoring", "Prometheus Operator"),
        ("metrics.k8s.io", "HorizontalPodAutoscaler", "metrics-server"),
    ],
)
def test_missing_kinds_are_named_with_the_component_and_what_to_install(
    prod: Deployment, group: str, component: str, install: str
) -> None:
    """If it fails, half of the objects are applied before one turns out to be of an unknown kind."""
    prod.tools.on("kubectl api-versions", stdout=api_versions(without=group))
    prod.tools.on("kubectl api-resources", stdout=api_resources(without=group))
    refused(prod, prod.run("--yes", "--image", PINNED), "lacks", component, install)


def test_a_group_without_the_kind_is_missing_too(prod: Deployment) -> None:
    """If it fails, an operator whose CRDs are installed in part passes the check."""
    without = "".join(line for line in api_resources().splitlines(keepends=True) if "PodMonitor" not in line)
    prod.tools.on("kubectl api-resources", stdout=without)
    refused(prod, prod.run("--yes", "--image", PINNED), "PodMonitor (monitoring.coreos.com/v1)")


def test_an_aggregated_api_that_is_down_does_not_hide_the_others(prod: Deployment) -> None:
    """If it fails, one broken extension of the cluster stops every deployment."""
    down = (
        "error: unable to retrieve the complete list of server APIs: custom.metrics.k8s.io/v1beta1: stale\n"
    )
    prod.tools.on("kubectl api-resources", stdout=api_resources(), stderr=down, status=1)
    done = prod.run("--yes", "--image", PINNED)
    assert done.returncode == 0, done.stderr
    assert "custom.metrics.k8s.io" in done.stderr


@pytest.mark.parametrize("tool", ["git", "make"])
def test_what_the_build_needs_is_missed_before_minikube_is_started(dev: Deployment, tool: str) -> None:
    """If it fails, Minikube is made in minutes, and then the image cannot be built."""
    dev.tools.hidden.add(tool)
    dev.tools.on("minikube status", status=85)
    refused(dev, dev.run("--yes"), "not on PATH", f"{tool}: the package")


def test_an_old_python_is_missed_before_minikube_is_started(dev: Deployment) -> None:
    """If it fails, macOS's own Python passes, and the build ends long after Minikube was made."""
    dev.tools.on("python3.9", status=1)
    dev.tools.on("minikube status", status=85)
    refused(dev, dev.run("--yes", PYTHON="python3.9"), "Python 3.11 or newer", "PYTHON=")


def test_an_image_that_is_there_needs_nothing_to_build_with(dev: Deployment) -> None:
    """If it fails, somebody without Python cannot deploy an image that was made elsewhere."""
    dev.tools.on("python3.9", status=1)
    assert dev.run("--yes", "--image", "mlapi:mine", PYTHON="python3.9").returncode == 0
