"""What engines do with the threads and CPUs of a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="reads /proc")  # noqa: PTH112

WATCH = """
import sys
from pathlib import Path
from mlapi.engines.factory import load_classifier

classifier = load_classifier(Path(sys.argv[1]), variant=sys.argv[2], threads=int(sys.argv[3]))
encodings = classifier.encode(["a great film and lovely music"] * 64)
for _ in range(20):
    classifier.classify(encodings)
allowed = set()
threads = 0
for status in Path("/proc/self/task").glob("*/status"):
    threads += 1
    lines = status.read_text().splitlines()
    allowed |= {line.split()[1] for line in lines if line.startswith("Cpus_allowed_list")}
print(threads, *allowed)
"""


@pytest.mark.parametrize("variant", ["onnx-fp32", "openvino-fp32"])
def test_engines_pin_no_thread(tmp_path: Path, variant: str) -> None:
    """If it fails, several workers on one machine all compute on the same CPUs."""
    model = make_tiny_model(tmp_path / "model", variants={variant: 0.0}).path
    cpus = len(os.sched_getaffinity(0))
    command = [sys.executable, "-c", WATCH, str(model), variant, str(max(2, cpus))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    threads, *allowed = done.stdout.split()
    assert int(threads) > 1
    assert len(allowed) == 1, f"threads may run on {allowed}"
