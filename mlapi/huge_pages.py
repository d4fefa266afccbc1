"""Moves the memory in use to huge pages, because each call reads all of a model's weights (ADR 28).

Where a machine is set up as most are, an allocator gets pages of 4 KiB. A model of 40 MB has 10,000 of them,
several times as many as a CPU remembers the addresses of, and in a virtual machine looking one up takes twice
as long. From Linux 6.1 on, madvise(2) moves what is in use at once, into pages of 2 MiB on most machines.
"""

from __future__ import annotations

import ctypes
import logging
import mmap
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

logger = logging.getLogger(__name__)

SIZE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
MAPS = Path("/proc/self/maps")
PAGE_MAP = Path("/proc/self/pagemap")
TOTALS = Path("/proc/self/smaps_rollup")

MADV_COLLAPSE = 25
"""Of Linux's `mman-common.h`; Python's `mmap` does not have it."""

ENTRY = 8
"""Bytes per page in `/proc/PID/pagemap` (proc(5))."""

IN_USE = 0x81
"""Bits of an entry's last byte: it is there, and mapped here alone. A page that was only read is not."""

MISSING = 1 / 16
"""The share of a huge page's memory that may not be in use yet: that much more memory it takes at most."""

REFUSALS = 4
"""In a row: then the kernel does not know how, or has no memory in one piece, and looks for more in vain."""


def use_huge_pages(advise: Callable[[int, int], None] | None = None, *, size_file: Path = SIZE) -> int:
    """Move the process's data into huge pages where it fills them, and return how many bytes such pages have.

    A thread that asks the kernel for memory meanwhile, or uses what is being moved, waits for that page.
    Where the kernel cannot do it, nothing changes.

    Args:
        advise: Moves a number of bytes from an address on, or raises `OSError`; the kernel by default.
        size_file: Says how large a huge page is.
    """
    try:
        size = int(size_file.read_text(encoding="ascii"))
        with PAGE_MAP.open("rb", buffering=0) as page_map:
            refused = _move(advise or collapse, page_map, size)
        moved = _in_huge_pages()
    except (OSError, ValueError) as error:
        logger.info("huge pages: not used (%s)", error)
        return 0
    logger.info("huge pages: %d MiB%s", moved >> 20, f", no more ({refused})" if refused else "")
    return moved


def _move(advise: Callable[[int, int], None], page_map: BinaryIO, size: int) -> OSError | None:
    """Move what can be moved, and return the last refusal."""
    in_a_row = 0
    refused = None
    # As few calls as can be: each has all CPUs hand over the pages that they were about to put into lists.
    for start, length in _spans(page_map, size):
        try:
            advise(start, length)
        except OSError as error:
            refused, in_a_row = error, in_a_row + 1
            if in_a_row == REFUSALS:
                break
        else:
            in_a_row = 0
    return refused


def _in_huge_pages() -> int:
    for line in TOTALS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("AnonHugePages:"):
            return int(line.split()[1]) << 10  # "kB"
    return 0


def _spans(page_map: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield address and length of what fills huge pages one behind the other."""
    start = length = 0
    for block in _blocks(size):
        if not _is_full(page_map, block, size):
            continue
        if block != start + length:
            if length:
                yield start, length
            start, length = block, 0
        length += size
    if length:
        yield start, length


def _blocks(size: int) -> Iterator[int]:
    """Yield where, in memory for data that belongs to this process alone, huge pages could be."""
    for line in MAPS.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n"):
        # "start-end rw-p offset device inode name": a file's has a path for a name.
        span, flags, _, _, _, *name = line.split(maxsplit=5)
        if flags != "rw-p" or (name and not name[0].startswith(("[heap]", "[anon"))):
            continue
        start, end = (int(part, 16) for part in span.split("-"))
        yield from range(-(-start // size) * size, end // size * size, size)


def _is_full(page_map: BinaryIO, block: int, size: int) -> bool:
    pages = size // mmap.PAGESIZE
    page_map.seek(block // mmap.PAGESIZE * ENTRY)
    last_bytes = page_map.read(pages * ENTRY)[ENTRY - 1 :: ENTRY]
    return sum(last & IN_USE == IN_USE for last in last_bytes) >= pages * (1 - MISSING)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def collapse(address: int, length: int) -> None:
    """Call madvise(2).

    Raises:
        OSError: The kernel cannot: `EINVAL` if it does not know how.
    """
    if _libc().madvise(ctypes.c_void_p(address), ctypes.c_size_t(length), MADV_COLLAPSE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
