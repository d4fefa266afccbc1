"""Remove from an environment's packages what the service never loads, and say what and how much.

    python scripts/image/trim_packages.py SITE_PACKAGES

Runs while an image is built. OpenVINO ships a plugin for each device and a frontend for each format that it
knows; the service runs ONNX graphs on the CPU. A pattern that matches nothing is an error: the package was
laid out anew, and somebody has to look at what it brings now. A package that is not installed is passed over.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Ballast:
    """What one package can do without.

    Attributes:
        package: Its folder in the site-packages directory.
        why: For people.
        patterns: What to remove, as `Path.glob` reads it from the package's folder on.
        machines: Where the package ships it, by `platform.machine()`; empty for everywhere.
    """

    package: str
    why: str
    patterns: tuple[str, ...]
    machines: frozenset[str] = frozenset()


UNUSED_FRONTENDS = ("gguf", "jax", "paddle", "pytorch", "tensorflow", "tensorflow_lite")

BALLAST = (
    Ballast(
        "openvino",
        "plugins for Intel's GPUs and NPUs",
        (
            "libs/libopenvino_intel_gpu_plugin.so",
            "libs/libopenvino_intel_npu_plugin.so",
            "libs/cache.json",  # of the GPU's kernels
        ),
        frozenset({"x86_64"}),
    ),
    Ballast(
        "openvino",
        "plugins that spread work over several devices",
        tuple(f"libs/libopenvino_{name}_plugin.so" for name in ("auto", "auto_batch", "hetero")),
    ),
    Ballast(
        "openvino",
        "readers of formats that no variant has",
        tuple(f"libs/libopenvino_{name}_frontend.so.*" for name in UNUSED_FRONTENDS),
    ),
    Ballast("openvino", "headers and build files for C++", ("include", "cmake", "libs/tbb.pc")),
    Ballast("openvino", "the model converter and the benchmark", ("tools",)),
    Ballast("onnxruntime", "tools that make models", ("transformers", "tools", "quantization", "datasets")),
    Ballast("numpy", "tests", ("**/tests",)),
    Ballast("numpy", "building of Fortran and C extensions", ("f2py", "_core/include", "_core/lib")),
    Ballast("uvloop", "sources of what is compiled", ("*.pyx", "*.pxd", "handles/*.pyx", "includes/*.pxd")),
    Ballast("torch", "headers and build tools", ("include", "share", "bin/protoc*")),
    Ballast("torch", "tests", ("test", "bin/test_*", "testing/_internal/py312_intrinsics.py")),
)


def trim(
    site_packages: Path, *, machine: str, ballast: Iterable[Ballast] = BALLAST
) -> tuple[dict[str, int], list[str]]:
    """Remove what the packages can do without.

    Args:
        site_packages: Where the packages are installed.
        machine: As `platform.machine()` names it.
        ballast: What to remove.

    Returns:
        The bytes removed for each package and reason, and the patterns that matched nothing.
    """
    removed: dict[str, int] = {}
    unmatched: list[str] = []
    for item in ballast:
        folder = site_packages / item.package
        if not folder.is_dir() or (item.machines and machine not in item.machines):
            continue
        for pattern in item.patterns:
            found = sorted(folder.glob(pattern))
            if not found:
                unmatched.append(f"{item.package}/{pattern}")
            what = f"{item.package}: {item.why}"
            removed[what] = removed.get(what, 0) + sum(map(_remove, found))
    return removed, unmatched


def _remove(path: Path) -> int:
    """Remove a file, or a folder with all that is in it, and return the bytes that it had."""
    if path.is_dir() and not path.is_symlink():
        freed = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
        shutil.rmtree(path)
        return freed
    if not path.is_symlink() and not path.exists():
        return 0  # it went with a folder that another match named
    freed = path.lstat().st_size
    path.unlink()
    return freed


def main(arguments: Sequence[str] | None = None) -> int:
    """Trim one directory and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("site_packages", type=Path, help="where the packages are installed")
    parser.add_argument("--only", metavar="PACKAGE", help="trim this one alone [default: all]")
    options = parser.parse_args(arguments)
    site_packages: Path = options.site_packages
    if not site_packages.is_dir():
        print(f"{site_packages} is no directory", file=sys.stderr)
        return 1
    ballast = [item for item in BALLAST if options.only in {None, item.package}]
    removed, unmatched = trim(site_packages, machine=platform.machine(), ballast=ballast)
    for what, freed in removed.items():
        print(f"{freed / 1e6:6.1f} MB  {what}")
    for pattern in unmatched:
        print(
            f"{pattern} matches nothing: look at what the package ships now, and mend "
            "scripts/image/trim_packages.py",
            file=sys.stderr,
        )
    return 1 if unmatched else 0


if __name__ == "__main__":
    sys.exit(main())
