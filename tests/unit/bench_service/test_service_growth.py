"""`bench.service.growth` with one cell of each kind, on the model that the repository carries."""

from __future__ import annotations

from pathlib import Path

from bench.model import SIZES
from bench.service.bench import Bench
from bench.service.growth import Grid, measure


def test_each_kind_of_growth_has_its_table() -> None:
    """If this fails, throughput or memory of a length, a bulk, of clients or of workers is missing."""
    bench = Bench(
        directory=Path("models/starter").absolute(),
        size=SIZES["tiny"],
        threads=1,
        rounds=1,
        seconds=0.4,
        seed_seconds=1.0,
        texts=None,
    )
    result = measure(bench, Grid(lengths=(8,), bulks=(4,), clients=(2,), workers=(2,)))
    assert not result.verdicts
    assert [table.splitlines()[0].count("|") for table in result.tables] == [6, 4, 6, 5]
    assert [table.splitlines()[2].split()[1] for table in result.tables] == ["8", "4", "2", "2"]
    for kind in ("tokens", "texts", "clients", "workers"):
        (cells,) = result.numbers[kind].values()
        assert all(value > 0 for cell in cells for name, value in cell.items() if "per_s" in name)
        assert cells[0]["memory_mb"] > 20
