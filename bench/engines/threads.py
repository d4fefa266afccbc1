"""Measure one model with several thread counts, to see that the service chooses the right one.

    docker run --cpus 1 … python bench/engines/threads.py models/starter --threads 1,2,4

Run it inside the limit in question: a container, or a cgroup with a quota. Prints texts per second and times
for each count, the counts taking turns, and which of them the service would choose here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))  # a script finds its own folder alone

from mlapi.engines.factory import load_classifier  # noqa: E402 - after the path is set
from mlapi.resources import choose_threads  # noqa: E402

TEXT = "The first half drags, but the last act is worth the wait, and the music stays with you. "


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("--variant", default="auto")
    parser.add_argument("--threads", default="1,2", help="counts to compare [default: 1,2]")
    parser.add_argument("--texts", type=int, default=1, help="texts in a batch [default: 1]")
    parser.add_argument("--seconds", type=float, default=3.0, help="for one count in one round [default: 3]")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    chosen = choose_threads(None)
    print(f"the service would take {chosen.count} ({chosen.reason})")
    counts = [int(count) for count in options.threads.split(",")]
    loaded = {
        count: load_classifier(options.model, variant=options.variant, threads=count) for count in counts
    }
    times: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(options.rounds):
        for count, classifier in loaded.items():
            batch = classifier.encode([TEXT * 2] * options.texts)
            classifier.classify(batch)
            end = time.perf_counter() + options.seconds
            while time.perf_counter() < end:
                start = time.perf_counter()
                classifier.classify(batch)
                times[count].append(time.perf_counter() - start)
    for count, measured in times.items():
        rate = options.texts * len(measured) / sum(measured)
        median, worst = statistics.median(measured), statistics.quantiles(measured, n=100)[-1]
        print(
            f"{count} threads: {rate:8.1f} texts/s, median {median * 1e3:7.1f} ms, p99 {worst * 1e3:7.1f} ms"
        )


if __name__ == "__main__":
    main()
