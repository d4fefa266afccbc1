"""Compare this service with the servers that people would otherwise use: same model, texts and cores.

    make bench ARGS='--texts messages.csv --json build/bench/compare.json --markdown docs/performance.md'

Makes a DistilBERT with random weights and the peers' environments once, under --work; then, round by round,
starts and warms all servers on two cores, which they share with the load generator, and loads one after the
other at each point while the rest is stopped. What was measured is kept when it is broken off. Status 0
whether or not the targets were reached. Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench import host
from bench.compare import contestants as taking_part
from bench.compare import plots, tables
from bench.compare.options import parse
from bench.compare.points import points
from bench.compare.results import Results
from bench.compare.run import compare
from bench.compare.verdicts import judge
from bench.load.messages import NoMessagesError, read_messages
from bench.markdown import page_at
from bench.model import SIZES
from bench.peers.catalogue import PEERS
from bench.prepare import prepare
from bench.signals import interrupt_when_told_to_stop

if TYPE_CHECKING:
    from collections.abc import Sequence

CORES = 2
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    options = parse(arguments, description=(__doc__ or "").splitlines()[0])
    page = page_at(options.markdown, begin=tables.BEGIN, end=tables.END)
    status = 0
    if options.report:
        results = _read(options.report)
    else:
        messages = _messages(options.texts)
        interrupt_when_told_to_stop()
        cores = _take_cores()
        directory, parameters = prepare(options.size, options.work, rivals=False)
        results = _begin(options, parameters, cores, messages)
        try:
            _measure(options, results, directory, messages)
        except KeyboardInterrupt:
            print("broken off; what was measured so far:", file=sys.stderr)
            status = INTERRUPTED
        _save(results, options.json)
    text = tables.report(results)
    print(text)
    if page:
        page.write(text)
    if options.plots:
        for path in plots.draw(results, options.plots):
            print(f"drew {path}", file=sys.stderr)
    sys.exit(status)


def _begin(
    options: argparse.Namespace, parameters: int, cores: Sequence[int], messages: Sequence[str] | None
) -> Results:
    """Return results without a window, or those so far where they are to be gone on with."""
    asked = {
        "size": options.size,
        "seconds": options.seconds,
        "quick": options.quick,
        "workloads": options.workloads,
        "texts": options.texts.name if options.texts else None,
    }
    if options.resume and options.json.exists():
        results = _read(options.json)
        if results.options != asked:
            sys.exit(f"{options.json} was measured with {results.options}, not with {asked}")
        results.drop_unfinished()
        return results
    described = host.describe(CORES)
    del described["threads of an engine"]  # each contestant has its own
    return Results(
        host={
            "model": f"DistilBERT, {parameters:,} parameters, random",
            **described,
            "CPUs used": f"{', '.join(map(str, cores))}: by the server and the load generator together",
            "rounds": f"up to {options.rounds}; all in turn at each point; windows of {options.seconds:g} s",
            "messages": _described(options.texts, messages),
        },
        options=asked,
    )


def _described(path: Path | None, messages: Sequence[str] | None) -> str:
    source = "made up" if messages is None else f"{len(messages):,} of {path and path.name}, in file order"
    return (
        f"{source}; each piece of up to 8 letters or digits and each mark is sent as one word of the random "
        "model's vocabulary, so that a message has about as many tokens as in a real one"
    )


def _measure(
    options: argparse.Namespace, results: Results, directory: Path, messages: Sequence[str] | None
) -> None:
    found, failures = taking_part.gather([PEERS[name] for name in options.peers], python=options.python)
    results.contestants = [each.to_json() for each in found]
    results.failures += failures
    compare(
        found,
        model=directory,
        vocabulary=SIZES[options.size].vocabulary,
        messages=messages,
        points=points(options.workloads, quick=options.quick),
        rounds=options.rounds,
        seconds=options.seconds,
        results=results,
        save=lambda: _save(results, options.json),
    )


def _save(results: Results, path: Path | None) -> None:
    if path is not None:
        verdicts = judge(results.windows, tables.engines(results))
        results.save(path, {"verdicts": [verdict.to_json() for verdict in verdicts]})


def _take_cores() -> list[int]:
    """Keep this process and all that it starts on two CPUs; return which."""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    if len(cores) < CORES:
        print(f"only CPU {cores[0]} is there: numbers are not those of {CORES} cores", file=sys.stderr)
    os.sched_setaffinity(0, cores)
    return cores


def _messages(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return read_messages(path)
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}; name a file of messages to --texts")
    except NoMessagesError as error:
        sys.exit(str(error))


def _read(path: Path) -> Results:
    try:
        return Results.load(path)
    except OSError as error:
        sys.exit(f"{path} cannot be read: {error.strerror}")
    except (ValueError, LookupError, TypeError):
        sys.exit(f"{path} is not what --json writes")


if __name__ == "__main__":
    main()
