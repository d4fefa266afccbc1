"""Runs load.js on a real k6, and reads what it wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = Path(__file__).parents[2] / "load.js"
TIMEOUT_S = 60
QUIET = ("--quiet", "--no-usage-report", "--address", "")
"""No progress, no report to its makers, no port of its own."""

THRESHOLD_CROSSED, SCRIPT_EXCEPTION = 99, 107
"""k6's exit statuses."""

ONE_REQUEST_WARMS = {"REPEATED_TEXTS": "100"}
"""Settings with which the first request for predictions warms the cache, and no other."""

SHORT = {"RAMP_UP": "0s", "HOLD": "1s", "RAMP_DOWN": "0s"}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of load.js.

    Attributes:
        status: k6's exit status; 0 where all is well.
        stdout: The summary as text.
        stderr: k6's log.
        summary: The summary as JSON; empty where none was written.
    """

    status: int
    stdout: str
    stderr: str
    summary: dict[str, Any]

    @property
    def crossed(self) -> set[str]:
        """The metrics of which a threshold was crossed, without their tags."""
        return {
            name.partition("{")[0]
            for name, metric in self.summary["metrics"].items()
            if not all(threshold["ok"] for threshold in metric.get("thresholds", {}).values())
        }

    def values(self, metric: str) -> dict[str, float]:
        """Return what was measured of one metric, by statistic."""
        found: dict[str, float] = self.summary["metrics"][metric]["values"]
        return found


def find_k6() -> str:
    """Return the path of k6, on PATH or beside this Python; skip the test where there is none."""
    found = shutil.which("k6") or shutil.which("k6", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("no k6 on PATH or beside this Python: see docs/load-test.md")
    return found


def inspect(variables: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Have k6 read load.js, and print the options that it exports, without running it."""
    return _k6(["inspect", *_environment(variables), *options, str(SCRIPT)], SCRIPT.parent)


def run(folder: Path, variables: Mapping[str, str]) -> Run:
    """Run load.js, for a second where `variables` do not say otherwise, and collect what came of it."""
    summary = folder / "summary.json"
    summary.unlink(missing_ok=True)
    given = _environment({**SHORT, "SUMMARY": str(summary), **variables})
    done = _k6(["run", *QUIET, *given, str(SCRIPT)], folder)
    written = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {}
    return Run(done.returncode, done.stdout, done.stderr, written)


def _environment(variables: Mapping[str, str]) -> list[str]:
    return [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]


def _k6(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # Variables of this process would be variables of the script.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "no_proxy": "*"}
    return subprocess.run(
        [find_k6(), *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )
