"""What a measurement was made on: processor, cores, libraries, date, load."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import mlapi
from mlapi.resources import available_cpus

FLAGS = (
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)
"""Of the processor's instructions those that int8 and bfloat16 products are made of; x86, then Arm."""

LIBRARIES = ("openvino", "onnxruntime", "torch", "transformers", "nncf", "numpy")


def describe(threads: int) -> dict[str, str]:
    """Return the host's description by topic, for people."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    present = set(flags[1].split()) if flags else set()
    return {
        "mlapi": revision(),
        "processor": processor(),
        "instructions": ", ".join(name for name in FLAGS if name in present) or "none of those looked for",
        "cores": f"{available_cpus()} for this process, {os.cpu_count()} in the machine",
        "threads of an engine": str(threads),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "Python": platform.python_version(),
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load before the run": f"{os.getloadavg()[0]:.1f} (mean of a minute)",
    }


def revision() -> str:
    """Return version and commit of what is measured; what was changed since makes it `dirty`."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{mlapi.__version__}, commit {told.stdout.strip() or 'unknown'}"


def processor() -> str:
    """Return the processor's name and its architecture."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return f"{model[1] if model else 'unnamed'} ({platform.machine()})"


def memory_mb(process: int) -> tuple[float, float]:
    """Return a process's resident memory, now and at its peak, in MB (10^6 bytes).

    Args:
        process: Its id.
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    kilobytes = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", status))
    return int(kilobytes["VmRSS"]) * 1024 / 1e6, int(kilobytes["VmHWM"]) * 1024 / 1e6
