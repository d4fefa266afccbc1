"""The runner of pods, with a pod made for it: what the kubelet would enforce is enforced."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploy.fields import UnimplementedError
from tests.support.deploy.pods.dev import dev_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.engine import Engine
    from tests.support.deploy.objects import Object
    from tests.support.deploy.pods.pod import Pod

pytestmark = pytest.mark.container

MEBIBYTE = 2**20
FIRST_TIME = """
import pathlib, sys
seen = pathlib.Path("/disk/seen")
if not seen.exists():
    seen.touch()
    sys.exit("not yet")
"""
WRITE = """
import pathlib, sys, time
for place in ("/disk/file", "/memory/file"):
    try:
        pathlib.Path(place).write_bytes(bytes(3 * 2**20))
    except OSError as error:
        print(place, error.strerror, flush=True)
print("written", flush=True)
time.sleep(3600)
"""


def test_an_init_container_is_repeated_until_it_succeeds(engine: Engine, image: str) -> None:
    """A pod would start although what it waits for failed, or fail for good over one bad moment."""
    manifest = deployment("print('ran', flush=True); import time; time.sleep(3600)", first=FIRST_TIME)
    with running(engine, image, manifest) as pod:
        pod.wait_ready()

        assert [(run.name, run.status) for run in pod.ended] == [("first", 1), ("first", 0)]
        assert pod.ended[0].message == "not yet", "the end of the log, in place of a message"
        assert pod.ended[1].message == ""


def test_a_container_above_its_memory_is_killed_and_started_again(engine: Engine, image: str) -> None:
    """Limits that nobody enforces would let every size pass."""
    with running(engine, image, deployment("b'x' * 2**28")) as pod:
        pod.wait_until(lambda: len(pod.runs("main")) >= 2, "was not killed and started again")

        assert {run.reason for run in pod.runs("main")} == {"OOMKilled"}
        assert {run.status for run in pod.runs("main")} == {137}


def test_a_restart_after_a_restart_has_to_wait(engine: Engine, image: str) -> None:
    """A pod that ends at once would look as if it were always there."""
    with running(engine, image, deployment("raise SystemExit(3)")) as pod:
        pod.wait_until(lambda: len(pod.runs("main")) >= 2, "was not started again")
        time.sleep(3)

        assert [run.status for run in pod.runs("main")] == [3, 3]


def test_a_volume_above_its_limit_is_no_success(engine: Engine, image: str) -> None:
    """A pod that a cluster evicts for what it writes would pass every test."""
    with dev_cluster(engine, image, [deployment(WRITE)]) as cluster:
        pod = cluster.start("made")
        pod.wait_until(lambda: "written" in pod.log("main"), "does not write")

        assert "/memory/file No space left on device" in pod.log("main")
        assert "/disk/file" not in pod.log("main"), "the kubelet looks now and then; the disk refuses nothing"
        with pytest.raises(AssertionError, match=rf"evicted .*disk: 3\d+ bytes of {MEBIBYTE}"):
            pod.delete(grace_s=0)
        cluster.pods.remove(pod)


def test_a_container_that_must_not_be_root_does_not_start_as_root(engine: Engine, image: str) -> None:
    """An image without a user would run as root here, and not at all in a cluster."""
    manifest = deployment("pass")
    manifest["spec"]["template"]["spec"]["securityContext"]["runAsUser"] = 0
    with dev_cluster(engine, image, [manifest]) as cluster:
        pod = cluster.start("made")

        with pytest.raises(UnimplementedError, match="runAsNonRoot"):
            pod.wait_ready()


@contextmanager
def running(engine: Engine, image: str, manifest: Object) -> Iterator[Pod]:
    """Run a pod of a Deployment."""
    with dev_cluster(engine, image, [manifest]) as cluster:
        yield cluster.start("made")


def deployment(main: str, *, first: str = "") -> Object:
    """Return a Deployment whose container runs a Python program, after `first` in an init container."""
    labels = {"app.kubernetes.io/name": "made"}
    pod: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 1,
        "containers": [_container("main", main)],
        "volumes": [
            {"name": "disk", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
    }
    if first:
        pod["initContainers"] = [_container("first", first)]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "made"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _container(name: str, program: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": "mlapi",
        "command": ["python", "-c", program],
        "resources": {"limits": {"memory": "64Mi", "cpu": "1"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "disk", "mountPath": "/disk"},
            {"name": "memory", "mountPath": "/memory"},
        ],
    }
