"""What limits the service now: the share of the integer GEMM ceiling that engine and service reach."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.markdown import table
from bench.service.bench import Result, flat, interleaved, spread
from bench.service.engine import make_engine
from bench.service.gemm import gemms, make_gemm
from bench.service.operations import GIGA, operations
from bench.service.process import Helper
from bench.service.servers import mlapi
from bench.service.traffic import Traffic
from bench.shapes import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.service.bench import Bench

SHAPES = (Shape(8, 32), Shape(32, 32))
CALLS = 10
CLIENTS, TOKENS = 32, 20


def measure(bench: Bench) -> Result:
    """Let single products, the engine and the service take turns."""
    traffic = Traffic(bench)
    products = gemms(width=bench.size.width, hidden=bench.size.hidden)
    with (
        mlapi(bench.directory, threads=bench.threads) as server,
        Helper(make_engine, bench.directory, bench.threads) as engine,
        Helper(make_gemm, bench.threads) as gemm,
    ):

        def engine_rate(shape: Shape) -> float:
            batches = [shape.batch(bench.size.vocabulary)] * CALLS
            engine.ask(batches[:1])  # the first call of a shape prepares for it
            done = operations(bench.size, texts=shape.texts, tokens=shape.tokens)
            return CALLS * done / engine.ask(batches) / GIGA

        def service_rate() -> float:
            load = flat(traffic.distinct_load(server, tokens=TOKENS, clients=CLIENTS))
            return load["texts_per_s"] * operations(bench.size, texts=1, tokens=TOKENS) / GIGA

        turns: dict[str, Callable[[], float]] = {
            **{f"int8 product {one}": lambda one=one: gemm.ask(one) for one in products},  # type: ignore[misc]
            **{f"engine, {shape}": lambda shape=shape: engine_rate(shape) for shape in SHAPES},  # type: ignore[misc]
            f"service, {CLIENTS} clients, {TOKENS} tokens": service_rate,
        }
        measured = interleaved(turns, rounds=bench.rounds)
    top = ceiling([measured[f"int8 product {one}"] for one in products])
    rows = (
        (name, spread(rates), f"{100 * statistics.median(rates) / top:.0f} %")
        for name, rates in measured.items()
    )
    head = (f"{bench.threads} threads", "10⁹ operations/s", "of the ceiling")
    numbers = {"ceiling_gops": top, "gops": measured}
    return Result("integer GEMM ceiling", [], [table(head, rows)], numbers)


def ceiling(rates: Sequence[Sequence[float]]) -> float:
    """Return the highest of the products' medians."""
    return max(statistics.median(each) for each in rates)
