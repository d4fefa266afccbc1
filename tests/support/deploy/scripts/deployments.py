"""Runs deploy.sh in a clone of its own, against stand-ins that say what kubectl, minikube and docker say.

deployment = Deployment(tmp_path, "prod", service)
deployment.tools.on("kubectl rollout status", stderr=TIMED_OUT, status=1)
done = deployment.run("--yes")
assert done.returncode == 1
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.support.deploy.scripts.kubectl_answers import (
    ROLLED_OUT,
    api_resources,
    api_versions,
    applied,
    running,
)
from tests.support.deploy.scripts.standins import StandIns

if TYPE_CHECKING:
    from tests.support.deploy.scripts.fake_service import FakeService

ROOT = Path(__file__).resolve().parents[4]
PINNED = "registry.example/mlapi@sha256:" + "a" * 64
OTHER = "registry.example/mlapi@sha256:" + "b" * 64
BUILT_ID = "sha256:0123456789abcdef" + "0" * 48
BUILT = "mlapi:dev-0123456789ab"
# What the cluster may remember to have run before.
PREVIOUS = """apiVersion: v1
kind: ConfigMap
metadata:
  name: settings-before
  namespace: mlapi
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: mlapi
  namespace: mlapi
spec:
  progressDeadlineSeconds: 600
"""
TIMEOUT_S = 120


@dataclass(slots=True)
class Deployment:
    """One environment, a cluster in which everything goes well, and a service that answers.

    Attributes:
        folder: Where clone and stand-ins lie.
        environment: `dev` or `prod`.
        service: What port forward and gateway lead to.
    """

    folder: Path
    environment: str
    service: FakeService
    tools: StandIns = field(init=False)
    clone: Path = field(init=False)

    def __post_init__(self) -> None:
        self.clone = self.folder / "clone"
        self.tools = StandIns(self.folder / "bin")
        make_clone(self.clone)
        self._settle_well()
        if self.environment == "dev":
            self._minikube_runs()

    @property
    def values(self) -> dict[str, str]:
        """The overlay's values."""
        text = (self.overlay / "values.yaml").read_text(encoding="utf-8")
        data: dict[str, str] = yaml.safe_load(text)["data"]
        return data

    @property
    def overlay(self) -> Path:
        """The overlay in the clone."""
        return self.clone / ".k8s" / "overlays" / self.environment

    @property
    def generated(self) -> Path:
        """Where the script may write."""
        return self.clone / ".k8s" / ".generated"

    def run(self, *arguments: str, answer: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run deploy.sh and check that only expected calls were made and no tracked file was edited."""
        if self.service.tls:
            variables["CURL_CA_BUNDLE"] = str(self.service.tls[0])
        return self.script("deploy.sh", *self.target(), *arguments, answer=answer, **variables)

    def target(self) -> list[str]:
        """Return the arguments of deploy.sh that say where to, and how the service is reached."""
        through = ["--gateway", f"127.0.0.1:{self.service.port}"] if self.service.tls else []
        return [self.environment, *through]

    def script(
        self, name: str, *arguments: str, answer: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the clone as it is asked to, with the same checks."""
        done = subprocess.run(
            [os.environ.get("MLAPI_TEST_BASH", "bash"), str(self.clone / name), *arguments],
            input=answer,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd=self.folder,
            env={**self.tools.environment(), **variables},
        )
        self.tools.no_surprises()
        assert git(self.clone, "status", "--porcelain") == ""
        return done

    def remembers(self, which: str, text: str) -> None:
        """Have the cluster remember a render: `current` or `previous`."""
        record = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": which},
            "data": {"render.yaml": text},
        }
        self.tools.on(f"kubectl get configmap mlapi-deploy-{which}", objects=[record])

    def runs(self, name: str, image: str) -> None:
        """Have the cluster run an image in a Deployment."""
        self.tools.on(f"kubectl get deployment {name}", objects=[running(name, image)])

    def commit(self, message: str) -> None:
        """Commit what was changed in the clone."""
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "-m", message)

    def applied(self) -> list[str]:
        """Return what was applied by the script's own manager, in order."""
        calls = self.tools.calls("kubectl apply --field-manager=mlapi-deploy")
        return [text for call in calls for text in call.files.values()]

    def changes(self) -> list[str]:
        """Return all calls that change a cluster, Minikube or an image."""
        words = ("apply", "create", "delete", "patch", "restart", "start", "tag", "build-push.sh")
        return [
            call.line
            for call in self.tools.all_calls()
            if (set(words) & {call.tool, *call.arguments}) and "--dry-run=client" not in call.arguments
        ]

    def _settle_well(self) -> None:
        """Answer as a cluster does in which everything works and the render is new to it."""
        on = self.tools.on
        on("kubectl kustomize", real=True)
        version = {"clientVersion": {"gitVersion": "v1.32.4"}, "kustomizeVersion": "v5.5.0"}
        on("kubectl version --client", stdout=json.dumps(version, indent=2) + "\n")
        on("kubectl config current-context", stdout=f"{self.values['context']}\n")
        on("kubectl api-versions", stdout=api_versions())
        on("kubectl api-resources", stdout=api_resources())
        on("kubectl get deployment mlapi-canary")
        on("kubectl get deployment mlapi")
        on("kubectl get namespace", stdout=f"namespace/{self.values['namespace']}\n")
        on("kubectl diff", stdout="+kind: Deployment\n", status=1)
        live = [applied("apps/v1", "Deployment", name) for name in ("mlapi", "lab", "redis")]
        on("kubectl get deployments", objects=[one | {"spec": {"replicas": 1}} for one in live])
        on("kubectl get configmaps,*", objects=[])
        on("kubectl apply", stdout="serverside-applied\n")
        on("kubectl rollout status", stdout=ROLLED_OUT)
        on("kubectl rollout restart deployment/redis")
        on("kubectl create configmap --dry-run=client", real=True)
        on("kubectl create configmap mlapi-deploy-lock", stdout="configmap/mlapi-deploy-lock created\n")
        on("kubectl delete configmap")
        on("kubectl get configmap mlapi-deploy-current")
        on("kubectl get configmap mlapi-deploy-previous")
        on(
            "kubectl port-forward",
            stdout=f"Forwarding from 127.0.0.1:{self.service.port} -> 8000\n",
            hold=True,
        )

    def _minikube_runs(self) -> None:
        on = self.tools.on
        on("minikube status", stdout="host: Running\nkubelet: Running\napiserver: Running\n")
        on("kubectl get nodes", stdout="docker://28.2.2 ")
        on("kubectl get secret redis-auth")
        on("minikube docker-env", stdout='export DOCKER_HOST="tcp://192.168.49.2:2376"\n')
        on("docker image inspect", stdout=f"{BUILT_ID}\n")
        on("docker tag")
        on("build-push.sh", stdout="mlapi:0000000\n")
        self.tools.tool("build-push.sh", self.clone / "build-push.sh")
        # its companion is no file of the project
        (self.clone / ".git" / "info" / "exclude").write_text("/build-push.sh.home\n", encoding="utf-8")
        self.commit("stand-in")


def make_clone(clone: Path) -> None:
    """Make a repository with all that the script needs."""
    clone.mkdir()
    for name in (".gitignore", "deploy.sh", "build-push.sh", "pyproject.toml"):
        shutil.copy(ROOT / name, clone / name)
    ignored = shutil.ignore_patterns(".generated", "__pycache__")
    for name in (".k8s", "scripts"):
        shutil.copytree(ROOT / name, clone / name, ignore=ignored)
    git(clone, "init", "--quiet")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "all")


def git(clone: Path, *arguments: str) -> str:
    """Run the real git there and return what it prints."""
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True).stdout


def refused(
    deployment: Deployment, done: subprocess.CompletedProcess[str], *reasons: str, status: int = 1
) -> None:
    """Check that a run ended with these reasons and has changed nothing."""
    assert done.returncode == status, done.stdout + done.stderr
    for reason in reasons:
        assert reason in done.stderr
    assert deployment.changes() == []
