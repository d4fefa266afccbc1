"""`bench/engines`: its judgement on made-up numbers, and the whole of it on a tiny model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.engines import tables
from bench.engines.contenders import CONTENDERS, RIVALS
from bench.engines.verdicts import REFERENCE, SUBJECT, service_verdicts, speed_verdicts
from bench.shapes import Shape
from tests.support.bench_command import run_whole

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


def test_the_fastest_rival_of_each_shape_counts() -> None:
    """If this fails, the printed ratios are not those of the medians, or the rival is not the best one."""
    medians = {
        SUBJECT: {"1x128": 10.0, "32x32": 100.0, "7x7": 1.0},
        REFERENCE: {"1x128": 29.0, "32x32": 310.0, "7x7": 1.0},
        "quick on one": {"1x128": 12.0, "32x32": 130.0, "7x7": 1.0},
        "quick on many": {"1x128": 13.0, "32x32": 119.0, "7x7": 1.0},
        "no rival": {"1x128": 1.0, "32x32": 1.0, "7x7": 1.0},
    }
    verdicts = speed_verdicts(medians, rivals=["quick on one", "quick on many"])
    assert [(verdict.value, verdict.target, verdict.reached) for verdict in verdicts] == [
        (2.9, 3.0, False),
        (3.1, 3.0, True),
        (1.2, 1.15, True),
        (1.19, 1.2, False),
    ]
    assert "quick on one" in verdicts[2].what
    assert "quick on many" in verdicts[3].what


def test_costs_should_be_low_and_ratios_high() -> None:
    """If this fails, a slow start or a large process is called a success."""
    verdicts = service_verdicts(start_s=2.0, start_cached_s=1.6, resident_mb=551)
    assert [verdict.reached for verdict in verdicts] == [True, False, False]


def test_a_shape_reads_as_it_is_written() -> None:
    """If this fails, --shapes measures something else than it says, or a typing error is measured."""
    shape = Shape.parse("8x32")
    assert str(shape) == "8x32"
    assert [len(row) for row in shape.batch(600)] == [32] * 8
    assert (shape.repeats, Shape(1, 16).repeats, Shape(32, 128).repeats) == (2, 32, 1)
    for wrong in ("8", "0x3", "8x", "axb"):
        with pytest.raises(ValueError):  # noqa: PT011 - argparse says the rest
            Shape.parse(wrong)


@pytest.mark.slow
def test_the_whole_of_it_on_a_tiny_model(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """If this fails, `make bench-engines` fails, or its JSON, page and verdicts do not agree."""
    content, printed = run_whole(
        "bench.engines",
        ["--rounds", "1", "--starts", "1", "--shapes", "1x16,2x8", "--threads", "1"],
        root=pytestconfig.rootpath,
        folder=tmp_path,
        markers=(tables.BEGIN, tables.END),
    )
    assert list(content) == ["host", "contenders", "service", "verdicts"]
    assert set(content["host"]) >= {"processor", "instructions", "cores", "libraries", "date"}
    assert list(content["contenders"]) == [contender.name for contender in CONTENDERS]
    for name, measured in content["contenders"].items():
        assert {shape: len(turns) for shape, turns in measured["seconds"].items()} == {"1x16": 1, "2x8": 1}
        assert measured["median_ms"]["2x8"] == pytest.approx(1000 * measured["seconds"]["2x8"][0])
        assert 0 < measured["resident_mb"] <= measured["peak_mb"]
        assert (measured["difference"] < 1e-4) == name.endswith("fp32"), name
    assert set(RIVALS) < set(content["contenders"])
    assert len(content["service"]["start_s"]) == len(content["service"]["start_cached_s"]) == 1
    (speed, *costs) = content["verdicts"]
    assert "1x16" in speed["what"]
    assert [verdict["unit"] for verdict in costs] == ["s", "s", "MB"]
    for verdict in content["verdicts"]:
        assert f"| {verdict['what']} |" in printed
