"""What the tests of the autoscaler replay is recorded from a real process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from bench.record_pod import long_texts, record, single_text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which Linux alone has")
def test_a_process_is_recorded_idle_and_under_load(tiny_model: Path) -> None:
    """The record shows no load, or the figures of another process than the service's."""
    before = os.sched_getaffinity(0)
    samples = record(["--model", str(tiny_model)], {"idle": 0.5, "load": 1.0, "after": 0.5}, interval_s=0.5)
    assert [sample.phase for sample in samples] == ["idle", "load", "load", "after"]
    idle, *load, after = samples
    assert idle.requests_per_s == after.requests_per_s == 0
    assert all(sample.requests_per_s > 0 for sample in load)
    assert max(sample.cpu_cores for sample in load) > idle.cpu_cores
    assert all(sample.memory_bytes > 10_000_000 for sample in samples)
    assert os.sched_getaffinity(0) == before


def test_no_request_repeats_another() -> None:
    """Answers come from the cache, and the recorded cost of a request is that of none."""
    bodies = [str(make(number)) for make in (single_text, long_texts) for number in range(200)]
    assert len(set(bodies)) == len(bodies)
