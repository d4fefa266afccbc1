"""Metric files of ended workers. Those of living ones are tested with real processes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from mlapi.worker_metrics import WorkerMetrics
from tests.support.http_server import samples

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _write(directory: Path, name: str, values: Mapping[tuple[str, str], float]) -> None:
    """Write one file of metrics, by metric and value of its only label."""
    file = MmapedDict(str(directory / name))
    for (metric, label), value in values.items():
        file.write_value(mmap_key(metric, metric, ["kind"], [label], "Help."), value, 0.0)
    file.close()


def _scrape(directory: Path) -> dict[str, float]:
    return samples(generate_latest(WorkerMetrics(directory)).decode())


def test_counts_survive_their_worker(tmp_path: Path) -> None:
    """If it fails, counters step back whenever a worker is replaced."""
    _write(tmp_path, "counter_1.db", {("asked_total", "a"): 3, ("asked_total", "b"): 1})
    _write(tmp_path, "counter_2.db", {("asked_total", "a"): 10})
    _write(tmp_path, "counter_3.db", {("asked_total", "b"): 100, ("told_total", "c"): 7})
    before = _scrape(tmp_path)
    for pid in (1, 3):
        WorkerMetrics(tmp_path).retire(pid)
        assert _scrape(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter_2.db", "counter_retired.db"]
    assert before['asked_total{kind="a"}'] == 13


def test_a_scrape_never_counts_a_worker_twice(tmp_path: Path) -> None:
    """If it fails, counters jump up and back while a worker is replaced, and rates show a burst."""
    metrics = WorkerMetrics(tmp_path)
    for pid in range(100, 150):
        _write(tmp_path, f"counter_{pid}.db", {("asked_total", "a"): 1})

    def retire_all() -> None:
        for pid in range(100, 150):
            metrics.retire(pid)

    retiring = threading.Thread(target=retire_all)
    retiring.start()
    seen = set()
    while retiring.is_alive():
        seen.add(samples(generate_latest(metrics).decode())['asked_total{kind="a"}'])
    retiring.join()
    assert seen <= {50}


@pytest.mark.parametrize("kind", ["histogram", "summary"])
def test_other_sums_survive_as_well(tmp_path: Path, kind: str) -> None:
    """If it fails, latencies measured by an ended worker are forgotten."""
    _write(tmp_path, f"{kind}_1.db", {("seconds_sum", "a"): 2.5})
    WorkerMetrics(tmp_path).retire(1)
    WorkerMetrics(tmp_path).retire(1)
    assert [path.name for path in tmp_path.iterdir()] == [f"{kind}_retired.db"]
    values = MmapedDict.read_all_values_from_file(str(tmp_path / f"{kind}_retired.db"))
    assert [value for _, value, *_ in values] == [2.5]


def test_gauges_vanish_with_their_worker(tmp_path: Path) -> None:
    """If it fails, a queue that is gone is still shown as full."""
    _write(tmp_path, "gauge_livesum_1.db", {("queue", "a"): 9})
    _write(tmp_path, "gauge_livesum_11.db", {("queue", "a"): 4})
    _write(tmp_path, "gauge_livemax_1.db", {("threads", "a"): 2})
    WorkerMetrics(tmp_path).retire(1)
    assert [path.name for path in tmp_path.iterdir()] == ["gauge_livesum_11.db"]
    assert _scrape(tmp_path) == {'queue{kind="a"}': 4}


@pytest.mark.parametrize("content", [b"", b"\x00\x10", b"\xff\x7f\x00\x00\x00\x00\x00\x00" * 4])
def test_a_file_that_was_cut_off_does_no_harm(tmp_path: Path, content: bytes) -> None:
    """If it fails, a worker killed at a bad moment takes the supervisor, or every later scrape, along."""
    (tmp_path / "counter_1.db").write_bytes(content)
    _write(tmp_path, "counter_2.db", {("asked_total", "a"): 1})
    WorkerMetrics(tmp_path).retire(1)
    assert _scrape(tmp_path) == {'asked_total{kind="a"}': 1}


def test_an_unknown_worker(tmp_path: Path) -> None:
    """If it fails, a worker that ended before it measured anything stops the supervisor."""
    WorkerMetrics(tmp_path).retire(1)
    assert list(tmp_path.iterdir()) == []
