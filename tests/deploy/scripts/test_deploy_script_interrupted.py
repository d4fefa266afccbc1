"""deploy.sh that is ended while it waits for a rollout."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.scripts.deployments import PINNED, PREVIOUS
from tests.support.deploy.scripts.interruptions import run_until

if TYPE_CHECKING:
    from tests.support.deploy.scripts.deployments import Deployment


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_at_once_says_how_things_are_and_takes_its_lock_off(
    prod: Deployment, number: signal.Signals, status: int
) -> None:
    """If it fails, a job that is cancelled waits until it is killed, and nobody knows how things are."""
    prod.remembers("current", PREVIOUS)
    prod.tools.on("kubectl rollout status", hold=True)
    done = run_until(prod, "kubectl rollout status", number, "--yes", "--image", PINNED)
    assert done.returncode == status
    assert "What was applied stays" in done.stderr
    assert "the same command again" in done.stderr
    assert prod.tools.calls("kubectl delete configmap mlapi-deploy-lock")
    assert len(prod.applied()) == 1, "nothing is undone"
    assert not prod.tools.calls("kubectl apply *record.yaml"), "nothing is remembered"


def test_before_anything_is_applied_there_is_nothing_to_say(prod: Deployment) -> None:
    """If it fails, somebody is sent to a runbook for a deployment that never began."""
    prod.tools.on("kubectl diff", script="sleep 1; exit 1")
    done = run_until(prod, "kubectl diff", signal.SIGTERM, "--yes", "--image", PINNED)
    assert done.returncode == 143
    assert "stays" not in done.stderr
    assert prod.applied() == []
    assert prod.tools.calls("kubectl delete configmap mlapi-deploy-lock")
