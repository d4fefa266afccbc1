"""Take from a base image what a service has no use for and an intruder has: installers and setuid bits.

    python scripts/image/harden.py --this-system

Runs as root while an image is built, by the base image's own interpreter. Last of all it compiles the
standard library: the public Python images come without byte code, and with a root file system that cannot be
written each start would compile what it imports.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import stat
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INSTALLERS = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack", "ensurepip")
#: Metadata and start-up hooks, beside the packages.
LEFTOVERS = ("pip-*-info", "setuptools-*-info", "wheel-*-info", "distutils-precedence.pth")
COMMANDS = ("pip", "pip[0-9]*", "wheel", "easy_install*")
#: Of the standard library, what no service imports, and what is no part of it.
NOT_COMPILED = re.compile(
    r"/(test|tests|idlelib|lib2to3|tkinter|turtledemo|pydoc_data|site-packages|dist-packages)(/|$)"
)
PSEUDO = frozenset({"/proc", "/sys", "/dev"})


def remove_installers() -> list[Path]:
    """Remove the packages that install packages, with metadata and commands; return what was removed."""
    found: set[Path] = set()
    for name in INSTALLERS:
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            found.add(Path(place))
            found.update(path for pattern in LEFTOVERS for path in Path(place).parent.glob(pattern))
    folders = {Path(sysconfig.get_path("scripts")), Path(sys.executable).resolve().parent}
    found.update(path for folder in folders for pattern in COMMANDS for path in folder.glob(pattern))
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return sorted(found)


def clear_setuid(root: Path) -> list[Path]:
    """Clear the setuid and setgid bits of every file below a folder; return those that had one."""
    cleared = []
    for path in _files(root):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(mode & ~(stat.S_ISUID | stat.S_ISGID))
            cleared.append(path)
    return cleared


def _files(root: Path) -> Iterator[Path]:
    """Yield every regular file below a folder, the kernel's own file systems left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if str(Path(folder, name)) not in PSEUDO]
        for path in (Path(folder, name) for name in names):
            if stat.S_ISREG(path.lstat().st_mode):
                yield path


def main(arguments: Sequence[str] | None = None) -> int:
    """Harden the system that this runs in; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--this-system",
        action="store_true",
        required=True,
        help="yes, change the system that this runs in: it is an image being built",
    )
    parser.parse_args(arguments)
    for path in remove_installers():
        print(f"removed {path}")
    for path in clear_setuid(Path("/")):
        print(f"no setuid or setgid any more: {path}")
    # Hashes that are not checked in place of times: the same bytes whenever the image is built.
    compiled = compileall.compile_dir(
        sysconfig.get_path("stdlib"),
        quiet=1,
        rx=NOT_COMPILED,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    return 0 if compiled else 1


if __name__ == "__main__":
    sys.exit(main())
