"""Compare engines on one model, and a whole service with it, with what was aimed at.

    make bench-engines ARGS='--rounds 7 --markdown docs/performance.md'

Makes a DistilBERT with random weights and its graphs once, under --work; then measures speed (interleaved),
memory, and the start of the service. Ends with status 0 whether or not the targets were reached. Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import host
from bench.engines import tables
from bench.engines.contenders import RIVALS
from bench.engines.rounds import measure_memory, measure_speed
from bench.engines.service import measure_service
from bench.engines.verdicts import service_verdicts, speed_verdicts
from bench.markdown import host_table, page_at
from bench.model import SIZES
from bench.options import positive
from bench.prepare import prepare
from bench.shapes import Shape
from bench.verdict import verdict_table

SHAPES = "1x16,1x32,1x128,8x32,32x32,32x128,1x512"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    options = _options(arguments)
    page = page_at(options.markdown, begin=tables.BEGIN, end=tables.END)
    size = SIZES[options.size]
    directory, parameters = prepare(options.size, options.work, rivals=True)
    described = {"model": f"DistilBERT, {parameters:,} parameters, random", **host.describe(options.threads)}
    described["rounds"] = f"{options.rounds}, interleaved; {options.starts} starts of each kind"
    common = {"vocabulary": size.vocabulary, "threads": options.threads}
    speeds = measure_speed(directory, shapes=options.shapes, rounds=options.rounds, **common)
    memory = measure_memory(directory, **common)
    costs = measure_service(directory, size, threads=options.threads, starts=options.starts)

    medians = {name: speed.medians_ms() for name, speed in speeds.items()}
    verdicts = speed_verdicts(medians, rivals=RIVALS)
    verdicts += service_verdicts(
        start_s=statistics.median(costs.start_s),
        start_cached_s=statistics.median(costs.start_cached_s),
        resident_mb=costs.resident_mb,
    )
    parts = (
        host_table(described),
        verdict_table(verdicts),
        tables.speed_table(speeds, memory),
        tables.service_table(costs),
    )
    text = "\n\n".join(parts)
    print(text)
    if options.json:
        result: dict[str, Any] = {
            "host": described,
            "contenders": {
                name: asdict(speed)
                | {"median_ms": medians[name], "resident_mb": memory[name][0], "peak_mb": memory[name][1]}
                for name, speed in speeds.items()
            },
            "service": asdict(costs),
            "verdicts": [asdict(verdict) | {"reached": verdict.reached} for verdict in verdicts],
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if page:
        page.write(text)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=7, help="turns of each contender at each shape")
    parser.add_argument("--threads", type=positive, default=2, help="threads of one inference call")
    parser.add_argument("--starts", type=positive, default=5, help="starts of the service in each way")
    parser.add_argument("--shapes", type=_shapes, default=_shapes(SHAPES), help=f"by default {SHAPES}")
    parser.add_argument("--size", choices=SIZES, default="full", help="of the model")
    parser.add_argument(
        "--work", type=Path, default=Path("build/bench"), help="where the model and its graphs are kept"
    )
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables between this file's markers")
    return parser.parse_args(arguments)


def _shapes(text: str) -> list[Shape]:
    return [Shape.parse(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
