from __future__ import annotations

import importlib.util
import os
import platform
import sys
from typing import TYPE_CHECKING

import pytest

from mlapi.resources import (
    CGROUP_ROOT,
    available_cpus,
    choose_threads,
    cpu_quota,
    engine_threads,
    this_machine,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process an affinity mask of eight CPUs, whatever the machine has."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def _file(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="ascii")
    return path


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
        ("150000 100000\n", 1.5, 1),
        ("290000 100000\n", 2.9, 2),
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
        ("150000\n", "100000\n", 1.5, 1),
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


@pytest.mark.usefixtures("_eight_cpus")
@pytest.mark.parametrize(
    ("quotas", "quota"),
    [
        ({"": "max 100000", "pod": "400000 100000", "pod/app": "150000 100000"}, 1.5),
        ({"": "max 100000", "pod": "200000 100000", "pod/app": "400000 100000"}, 2.0),
        ({"pod": "300000 100000", "pod/app": "max 100000"}, 3.0),
        ({"": "100000 100000", "pod": "300000 100000"}, 1.0),
        ({"": "max 100000", "pod": "max 100000", "pod/app": "max 100000"}, None),
        ({"elsewhere": "100000 100000"}, None),
    ],
)
def test_tightest_quota_on_the_way_to_the_root_counts_v2(
    tmp_path: Path, quotas: dict[str, str], quota: float | None
) -> None:
    """If it fails, a service started under a limit inside a larger one has too many threads, or too few."""
    for place, content in quotas.items():
        _file(tmp_path / "fs" / place / "cpu.max", content)
    membership = _file(tmp_path / "membership", "0::/pod/app\n")
    assert cpu_quota(tmp_path / "fs", membership) == quota


@pytest.mark.parametrize("membership", ["3:cpuset:/\n2:cpu,cpuacct:/pod/app\n0::/\n", "1:cpu:/pod/app\n"])
def test_tightest_quota_on_the_way_to_the_root_counts_v1(tmp_path: Path, membership: str) -> None:
    """If it fails, the same on an older node."""
    for place, quota in {"": "-1", "pod": "300000", "pod/app": "50000"}.items():
        _file(tmp_path / "fs" / "cpu" / place / "cpu.cfs_quota_us", quota)
        _file(tmp_path / "fs" / "cpu" / place / "cpu.cfs_period_us", "100000")
    assert cpu_quota(tmp_path / "fs", _file(tmp_path / "membership", membership)) == 0.5


@pytest.mark.parametrize("place", ["/docker/0123456789ab", "/../../other", "/", ""])
def test_cgroup_that_is_not_mounted_here_leaves_that_of_the_mount(tmp_path: Path, place: str) -> None:
    """If it fails, a container that sees only its own cgroup takes no notice of its quota."""
    _file(tmp_path / "fs" / "cpu.max", "200000 100000")
    membership = _file(tmp_path / "membership", f"0::{place}\n")
    assert cpu_quota(tmp_path / "fs", membership) == 2.0


@pytest.mark.parametrize("content", ["", "nonsense\n", "0:\n", "1:cpu\n"])
def test_odd_membership_is_like_none(tmp_path: Path, content: str) -> None:
    """If it fails, an unknown form of /proc/self/cgroup stops the start."""
    _file(tmp_path / "fs" / "cpu.max", "200000 100000")
    assert cpu_quota(tmp_path / "fs", _file(tmp_path / "membership", content)) == 2.0


def test_threads_say_what_decided_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, nobody can tell from the log why an engine has so few threads."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def threads(asked: int | None = None, workers: int = 1) -> tuple[int, str]:
        chosen = choose_threads(asked, workers=workers, root=tmp_path, membership=tmp_path / "none")
        return chosen.count, chosen.reason

    assert threads() == (8, "machine of 8 CPUs")
    assert threads(3) == (3, "as set")
    assert threads(workers=3) == (2, "machine of 8 CPUs, shared by 3 workers")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5}, raising=False)
    assert threads() == (2, "affinity to 2 CPUs of 8")
    _v2(tmp_path, "250000 100000")
    assert threads() == (2, "affinity to 2 CPUs of 8")
    _v2(tmp_path, "100000 100000")
    assert threads(workers=4) == (1, "quota of 1 CPU, shared by 4 workers")
    _v2(tmp_path, "150000 100000")
    assert threads() == (1, "quota of 1.5 CPUs")


@pytest.mark.parametrize(
    ("name", "content", "arch", "flags"),
    [
        (
            "x86_64",
            "processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n",
            "x86-64",
            {"fpu", "avx2", "avx512_vnni"},
        ),
        ("AMD64", "", "x86-64", set()),
        ("aarch64", "processor\t: 0\nFeatures\t: fp asimd asimddp\n", "arm64", {"fp", "asimd", "asimddp"}),
        ("riscv64", "isa : rv64\n", "riscv64", set()),
    ],
)
def test_machine_is_read_from_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, arch: str, flags: set[str]
) -> None:
    """If it fails, auto takes a CPU for one that it is not."""
    monkeypatch.setattr(platform, "machine", lambda: name)
    monkeypatch.setattr(sys, "platform", "linux")
    machine = this_machine(_file(tmp_path / "cpuinfo", content), nvidia=())
    assert (machine.arch, set(machine.flags), machine.cuda) == (arch, flags, False)


def test_apples_arm_has_dot_products(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, auto serves float32 on every Mac, which has no /proc."""
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert this_machine(tmp_path / "absent").flags == {"asimddp"}


@pytest.mark.parametrize("torch", [True, False])
@pytest.mark.parametrize("device", [True, False])
def test_cuda_needs_a_device_and_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: bool, device: bool
) -> None:
    """If it fails, auto tries torch where there is no GPU for it, or leaves a GPU idle."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object() if torch else None)
    node = tmp_path / "nvidia0"
    if device:
        node.touch()
    assert this_machine(nvidia=(tmp_path / "other", node)).cuda is (torch and device)
