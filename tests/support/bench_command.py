"""Runs a bench as its users do, and reads what it wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def run_bench(module: str, arguments: list[str], *, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of `bench` in the repository's root, to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def run_whole(
    module: str, arguments: list[str], *, root: Path, folder: Path, markers: tuple[str, str]
) -> tuple[dict[str, Any], str]:
    """Run a bench on a tiny model; return the JSON that it wrote, and what it printed and wrote to a page.

    Args:
        module: Of `bench`.
        arguments: Besides those about the model, where it is kept, and what is written.
        root: The repository's.
        folder: For the model, the JSON and the page.
        markers: Between which the page gets the tables.
    """
    result, page = folder / "result.json", folder / "page.md"
    begin, end = markers
    page.write_text(f"# A page\n\n{begin}\n{end}\n", encoding="utf-8")
    written = ["--json", str(result), "--markdown", str(page)]
    done = run_bench(
        module, ["--size", "tiny", "--work", str(folder / "work"), *arguments, *written], root=root
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in page.read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return content, done.stdout
