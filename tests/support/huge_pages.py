"""What the kernel does with huge pages, for tests."""

from __future__ import annotations

import ctypes
import mmap
import platform
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlapi.huge_pages import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_THP_DISABLE = 41


def huge_page() -> int:
    """Return the size of a huge page in bytes, or 0 where there are none."""
    return int(SIZE.read_text()) if SIZE.exists() else 0


@contextmanager
def memory(
    size: int, *, file: int = -1, flags: int = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
) -> Iterator[tuple[int, mmap.mmap]]:
    """Map memory of the process's own, of which nothing is in use, and give its address and itself."""
    with mmap.mmap(file, size, flags=flags) as whole:
        view = ctypes.c_char.from_buffer(whole)
        try:
            yield ctypes.addressof(view), whole
        finally:
            del view  # or the mapping cannot be closed


@contextmanager
def small_pages() -> Iterator[None]:
    """See to it that what is written meanwhile gets small pages, however the machine is set up."""
    assert LIBC.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        assert LIBC.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0


def protect(address: int, length: int, protection: int) -> None:
    """Call mprotect(2)."""
    assert LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(length), protection) == 0


def in_bytes(field: str, *, address: int | None = None, process: int | str = "self") -> int:
    """Return a field of `/proc/PID/smaps`: of the mapping with an address, or of all mappings together."""
    found, inside = 0, address is None
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        if span := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = address is None or int(span[1], 16) <= address < int(span[2], 16)
        elif inside and line.startswith(f"{field}:"):
            found += int(line.split()[1]) * 1024
    return found


def _kernel_moves() -> bool:
    release = [int(part) for part in re.findall(r"\d+", platform.release())[:2]]
    return release >= [6, 1] and 0 < huge_page() <= 32 << 20


needs_kernel = pytest.mark.skipif(
    not _kernel_moves(), reason="this kernel moves nothing to huge pages: it takes Linux 6.1"
)
