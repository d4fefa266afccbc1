"""`bench/compare`: the whole of it on a tiny model, with this service and the plain pipeline."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from bench.compare import plots, tables
from bench.compare.points import WORKLOADS, points
from tests.support.bench_command import run_bench, run_whole

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch

PNG = b"\x89PNG"


@pytest.mark.slow
def test_the_whole_of_it_on_a_tiny_model(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """If this fails, `make bench` fails, or its JSON, page, pictures and verdicts do not agree."""
    pictures, messages = tmp_path / "pictures", tmp_path / "messages.txt"
    messages.write_text("\n".join(f"Message {n}: was it good, number {n * n}?" for n in range(5000)), "utf-8")
    arguments = ["--quick", "--seconds", "0.4", "--peers", "plain", "--python", sys.executable]
    arguments += ["--texts", str(messages)]
    content, printed = run_whole(
        "bench.compare",
        [*arguments, "--plots", str(pictures)],
        root=pytestconfig.rootpath,
        folder=tmp_path,
        markers=(tables.BEGIN, tables.END),
    )
    assert content["failures"] == []
    assert [run["contestant"] for run in content["runs"]] == ["mlapi", "plain"]
    assert all(run["ready_s"] > 0 and run["memory_mb"] > 1 for run in content["runs"])
    measured = {(each["contestant"], tuple(each["point"].values())) for each in content["windows"]}
    expected = {
        (point.workload, point.clients, point.rate, point.tokens) for point in points(WORKLOADS, quick=True)
    }
    assert {point for name, point in measured if name == "mlapi"} == expected
    assert {point[0] for _, point in measured} == set(WORKLOADS)
    for window in content["windows"]:
        assert window["requests_per_s"] > 0, window["point"]
        assert window["server_cpu_s"] > 0, window["point"]
        assert window["client_cpu_s"] > 0
        assert sum(window["histogram"].values()) == window["statuses"].get("200", 0)
        if window["contestant"] == "mlapi" and window["point"]["workload"] in {"distinct", "lengths"}:
            assert (window["hits"], window["coalesced"]) == (0, 0), window["point"]
    (whole,) = (
        each
        for each in content["windows"]
        if each["contestant"] == "mlapi" and each["point"]["workload"] == "bulk"
    )
    assert (whole["sent"], whole["texts"]) == (1, 1000)

    for verdict in content["verdicts"]:
        assert f"| {verdict['what']} |" in printed
    at = {
        (each["contestant"], each["point"]["clients"]): each
        for each in content["windows"]
        if each["point"]["workload"] == "distinct"
    }
    assert content["verdicts"][0]["value"] == pytest.approx(
        at["mlapi", 32]["requests_per_s"] / at["plain", 32]["requests_per_s"]
    )
    drawn = {path.name: path.read_bytes() for path in pictures.iterdir()}
    assert set(drawn) == {plots.THROUGHPUT, plots.LATENCY, plots.RATE}
    assert all(data.startswith(PNG) and len(data) > 10_000 for data in drawn.values())

    root, result = pytestconfig.rootpath, str(tmp_path / "result.json")
    arguments += ["--size", "tiny", "--work", str(tmp_path / "work"), "--json", result, "--resume"]
    again = run_bench("bench.compare", arguments, root=root)
    assert again.stdout == printed  # nothing was left to measure
    later = run_bench("bench.compare", ["--report", result], root=root)
    assert later.stdout == printed
    other = run_bench("bench.compare", [*arguments, "--seconds", "9"], root=root)
    assert other.returncode == 1
    assert "'seconds': 0.4" in other.stderr
