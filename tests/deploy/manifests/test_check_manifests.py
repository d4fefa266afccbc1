"""The command that `make check` runs over the manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.check_manifests import EXIT_FAULTS, EXIT_USAGE, main
from tests.support.deploy.kustomize import needs_kubectl, overlay, write_layer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_fault_is_printed_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CI passes manifests that a check refuses, or does not say what is wrong with them."""
    needs_kubectl()
    patch = "- {op: add, path: /spec/replicas, value: 3}\n- {op: add, path: /spec/replica, value: 3}\n"
    target = {"kind": "Deployment", "name": "mlapi"}
    more = {"patches": [{"target": target, "patch": patch}]}
    folder = write_layer(tmp_path, [], over=overlay("prod"), more=more)
    assert main([str(folder)]) == EXIT_FAULTS
    printed = capsys.readouterr().err
    assert "'replica' was unexpected" in printed
    assert "`replicas` stands beside its autoscaler" in printed


def test_what_is_applied_needs_digests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A render with a placeholder for an image passes for one that can be applied."""
    needs_kubectl()
    assert main(["--final", str(overlay("prod"))]) == EXIT_FAULTS
    assert "has no digest; deploy.sh adds it" in capsys.readouterr().err


def test_a_folder_that_does_not_build_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A kustomization that cannot be built counts as one without objects, in which nothing is wrong."""
    needs_kubectl()
    (tmp_path / "kustomization.yaml").write_text("resources: [missing.yaml]\n", encoding="utf-8")
    assert main([str(tmp_path)]) == EXIT_FAULTS
    assert "missing.yaml" in capsys.readouterr().err


def test_without_kubectl_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is checked, and the command says that all is well."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([]) == EXIT_USAGE
    assert "kubectl is not on PATH" in capsys.readouterr().err
