from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mlapi.resources import CGROUP_ROOT, available_cpus, cpu_quota, engine_threads

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process an affinity mask of eight CPUs, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def _v2(root: Path, content: str) -> Path:
    (root / "cpu.max").write_text(content, encoding="latin-1")
    return root


def _v1(root: Path, quota: str, period: str) -> Path:
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(quota, encoding="latin-1")
    (root / "cpu" / "cpu.cfs_period_us").write_text(period, encoding="latin-1")
    return root


@pytest.mark.usefixtures("_eight_cpus")
@pytest.mark.parametrize(
    ("content", "quota", "cpus"),
    [
        ("max 100000\n", None, 8),
        ("200000 100000\n", 2.0, 2),
        ("150000 100000\n", 1.5, 2),
        ("50000 100000\n", 0.5, 1),
        ("1000 100000\n", 0.01, 1),
        ("25000 50000", 0.5, 1),
        ("1600000 100000\n", 16.0, 8),
        ("-1 100000\n", None, 8),
        ("0 100000\n", None, 8),
        ("100000 0\n", None, 8),
        ("100000\n", None, 8),
        ("1 2 3\n", None, 8),
        ("many 100000\n", None, 8),
        ("100000 long\n", None, 8),
        ("", None, 8),
        ("\xff\xfe", None, 8),
    ],
)
def test_cgroup_v2(tmp_path: Path, content: str, quota: float | None, cpus: int) -> None:
    """If it fails, threads are not sized by a container's CPU limit on a current kernel."""
    root = _v2(tmp_path, content)
    assert cpu_quota(root) == quota
    assert available_cpus(root) == cpus


@pytest.mark.usefixtures("_eight_cpus")
@pytest.mark.parametrize(
    ("quota_us", "period_us", "quota", "cpus"),
    [
        ("-1\n", "100000\n", None, 8),
        ("200000\n", "100000\n", 2.0, 2),
        ("150000\n", "100000\n", 1.5, 2),
        ("50000\n", "100000\n", 0.5, 1),
        ("1600000\n", "100000\n", 16.0, 8),
        ("100000\n", "0\n", None, 8),
        ("garbage\n", "100000\n", None, 8),
        ("100000\n", "", None, 8),
        ("\xff", "\xff", None, 8),
    ],
)
def test_cgroup_v1(tmp_path: Path, quota_us: str, period_us: str, quota: float | None, cpus: int) -> None:
    """If it fails, threads are not sized by a container's CPU limit on an older node."""
    root = _v1(tmp_path, quota_us, period_us)
    assert cpu_quota(root) == quota
    assert available_cpus(root) == cpus


@pytest.mark.usefixtures("_eight_cpus")
def test_without_cgroups_the_affinity_mask_decides(tmp_path: Path) -> None:
    """If it fails, a start outside a container fails, or uses one CPU of many."""
    assert cpu_quota(tmp_path / "absent") is None
    assert available_cpus(tmp_path / "absent") == 8


def test_unreadable_files_are_like_absent_ones(tmp_path: Path) -> None:
    """If it fails, a host that hides its cgroup files stops the start."""
    (tmp_path / "cpu.max").mkdir()
    (tmp_path / "cpu").write_text("", encoding="ascii")
    assert cpu_quota(tmp_path) is None


@pytest.mark.usefixtures("_eight_cpus")
def test_v2_is_asked_before_v1(tmp_path: Path) -> None:
    """If it fails, left-over v1 files override the limit that the kernel enforces."""
    _v1(tmp_path, "400000", "100000")
    assert available_cpus(_v2(tmp_path, "max 100000")) == 8


def test_platform_without_affinity_counts_all_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, the service does not start on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cpus(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus(tmp_path) == 1


def test_this_machine_has_at_least_one_cpu() -> None:
    """If it fails, the real files of some machine break the start."""
    assert available_cpus(CGROUP_ROOT) >= 1


def test_threads_are_those_asked_for_or_a_share_of_the_cpus() -> None:
    """If it fails, workers fight over the CPUs, or the setting is ignored."""
    assert engine_threads(3, workers=2) == 3
    assert engine_threads(None) == available_cpus()
    assert engine_threads(None, workers=10_000) == 1
