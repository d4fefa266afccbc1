"""Measure the service's image in containers: layers, start, memory at the worst that may be asked of it.

    ./build-push.sh --model build/bench/full --no-push --tag full
    .venv-dev/bin/python bench/container.py mlapi:full --markdown docs/image.md

For each number of CPUs: starts a container several times, locked up as a pod is, until it is ready; then
fills the cache, sends the largest bulk request and full batches of the longest texts, and watches memory as
the kernel counts it. Needs a container engine on this machine, Linux, and the right to read its cgroups.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # a script finds its own folder alone

from bench import container_load  # noqa: E402 - after the path is set
from bench.container_memory import MemoryWatch  # noqa: E402
from bench.host import processor  # noqa: E402
from bench.markdown import host_table, page_at, table  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN = "<!-- bench/container.py: what it printed, do not edit -->"
END = "<!-- bench/container.py: end -->"
BASE = "python:3.11-slim-bookworm"
READY_TIMEOUT_S = 120
LOCKED_UP = (
    *("--user", "10001:10001", "--read-only", "--tmpfs", "/tmp:size=64m,mode=1777"),  # noqa: S108 - its own /tmp
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    # Memory does not depend on it, and a busy machine must be able to finish.
    *("--env", "MLAPI_BULK_TIMEOUT_S=1800"),
)


def docker(*arguments: str) -> str:
    """Run a command of the engine and return what it printed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(slots=True)
class Measured:
    """What one number of CPUs gave.

    Attributes:
        cpus: The quota.
        ready_s: Seconds from `docker run` to the first healthy answer, of each start.
        stages: By stage, working set, its peak so far, and the highest resident memory, in 10^6 bytes.
        answers: By stage, how often each status was answered.
        slowest_probe_s: The longest that a probe took during the load.
        failed_probes: How many were not answered with 200.
    """

    cpus: float
    ready_s: list[float] = field(default_factory=list)
    stages: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    answers: dict[str, dict[int, int]] = field(default_factory=dict)
    slowest_probe_s: float = 0.0
    failed_probes: int = 0


class Service:
    """One container with the service, until the block ends."""

    def __init__(self, image: str, *, cpus: float, memory: str) -> None:
        self._name = f"mlapi-bench-{uuid.uuid4().hex[:8]}"
        self._options = ("--cpus", f"{cpus:g}", "--memory", memory, "--memory-swap", memory)
        self._image = image

    def __enter__(self) -> Self:
        started = time.perf_counter()
        publish = ("--publish", "127.0.0.1::8000")
        docker("run", "--detach", "--name", self._name, *LOCKED_UP, *self._options, *publish, self._image)
        self.port = int(docker("port", self._name, "8000/tcp").splitlines()[0].rpartition(":")[2])
        while not container_load.healthy(self.port):
            if time.perf_counter() - started > READY_TIMEOUT_S:
                sys.exit(f"{self._name} is not ready: {docker('logs', self._name)}")
            time.sleep(0.01)
        self.ready_s = time.perf_counter() - started
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", self._name)

    def process(self) -> int:
        """Return its first process's id on this machine."""
        return int(self._inspect()["Pid"])

    def check(self) -> None:
        """End the measurement where the container was killed."""
        state = self._inspect()
        if not state["Running"]:
            sys.exit(f"the container ended: OOMKilled={state['OOMKilled']}, status {state['ExitCode']}")

    def _inspect(self) -> Any:
        return json.loads(docker("inspect", "--format", "{{json .State}}", self._name))


def measure(image: str, *, cpus: float, starts: int, memory: str) -> Measured:
    """Measure under one quota."""
    measured = Measured(cpus)
    for number in range(starts + 1):
        with Service(image, cpus=cpus, memory=memory) as service:
            _say(f"{cpus:g} CPUs, start {number} of {starts}: {service.ready_s:.2f} s")
            if number:  # the first brings the files into the page cache
                measured.ready_s.append(service.ready_s)
    with Service(image, cpus=cpus, memory=memory) as service, MemoryWatch(service.process()) as watch:
        time.sleep(2)
        measured.stages["idle"] = watch.now()
        probes = container_load.Probes(service.port)
        with probes:
            for name, stage in container_load.STAGES.items():
                _say(f"{cpus:g} CPUs, {name}")
                started = time.perf_counter()
                measured.answers[name] = stage(service.port)
                service.check()
                measured.stages[name] = watch.now()
                _say(f"  {time.perf_counter() - started:.0f} s, {measured.answers[name]}, {watch.now()}")
        measured.slowest_probe_s, measured.failed_probes = probes.slowest_s, probes.failed
        time.sleep(10)
        measured.stages["10 s later"] = watch.now()
    return measured


def layers(image: str) -> list[tuple[str, float]]:
    """Return what the image adds to its base, from below, with its size in 10^6 bytes."""
    sizes = [
        int(line) for line in docker("history", "--human=false", "--format", "{{.Size}}", image).splitlines()
    ]
    base = docker("history", "--human=false", "--format", "{{.Size}}", BASE).splitlines()
    own = [size for size in sizes[: len(sizes) - len(base)] if size]
    project, models, packages, *rest = own
    return [
        ("user, hardening, byte code of the standard library", sum(rest) / 1e6),
        ("packages", packages / 1e6),
        ("models", models / 1e6),
        ("the project", project / 1e6),
        ("all without the models", (sum(own) - models) / 1e6),
    ]


def report(image: str, everything: Sequence[Measured]) -> str:
    """Write all of it as Markdown."""
    engine = docker("version", "--format", "{{.Server.Version}}, {{.Server.Os}}/{{.Server.Arch}}")
    model = docker("inspect", "--format", '{{index .Config.Labels "mlapi.model.version"}}', image)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    on = {"processor": processor(), "engine": engine, "model version": model, "date": when}
    parts = [
        host_table(on),
        table(("layer", "MB"), ((name, f"{size:.1f}") for name, size in layers(image))),
        table(
            ("CPUs", "docker run to ready, median, s", "range, s", "slowest probe under load, s", "failed"),
            (
                (
                    f"{one.cpus:g}",
                    f"{statistics.median(one.ready_s):.2f}",
                    f"{min(one.ready_s):.2f} to {max(one.ready_s):.2f}",
                    f"{one.slowest_probe_s:.2f}",
                    str(one.failed_probes),
                )
                for one in everything
            ),
        ),
        table(
            ("CPUs", "after", "answers", "working set, MB", "its peak so far, MB", "highest RSS, MB"),
            (
                (
                    f"{one.cpus:g}",
                    name,
                    _answers(one.answers.get(name, {})),
                    *(f"{value:.0f}" for value in values),
                )
                for one in everything
                for name, values in one.stages.items()
            ),
        ),
    ]
    return "\n\n".join(parts)


def _answers(statuses: dict[int, int]) -> str:
    return ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())) or "-"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", help="with the model that pods are sized for")
    parser.add_argument("--cpus", type=float, nargs="+", default=[1.0, 2.0], help="quotas to measure under")
    parser.add_argument(
        "--starts", type=int, default=5, help="starts under each, after one that does not count"
    )
    parser.add_argument("--memory", default="2g", help="limit, high enough to be out of the way")
    parser.add_argument("--markdown", type=Path, help="write the tables between this file's markers")
    options = parser.parse_args(arguments)
    page = page_at(options.markdown, begin=BEGIN, end=END)
    everything: list[Measured] = []
    text = ""
    for cpus in options.cpus:
        everything.append(measure(options.image, cpus=cpus, starts=options.starts, memory=options.memory))
        text = report(options.image, everything)
        if page:  # now, because the next quota may take half an hour
            page.write(text)
    print(text)


if __name__ == "__main__":
    main()
