"""Which memory is moved to huge pages: decided by our code, carried out by the kernel."""

from __future__ import annotations

import ctypes
import errno
import mmap
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from mlapi.huge_pages import REFUSALS, collapse, use_huge_pages
from tests.support.huge_pages import huge_page, in_bytes, memory, needs_kernel, protect, small_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCKS = 6
OWN = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Kernel:
    """Moves what begins at some addresses, and notes all that it is asked. Where told so, it refuses."""

    def __init__(self, *, moves: range = range(0), but_for_one_in: int | None = None) -> None:
        self.calls = 0
        self.asked: set[int] = set()
        self._moves = moves
        self._but_for_one_in = but_for_one_in

    def __call__(self, address: int, length: int) -> None:
        self.calls += 1
        self.asked.update(range(address, address + length, huge_page()))
        if self._but_for_one_in and self.calls % self._but_for_one_in:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        if address in self._moves:
            collapse(address, length)


@contextmanager
def _blocks(count: int, *, every: int = 1, pages: int | None = None, read: bool = False) -> Iterator[range]:
    """Map huge pages' worth of memory, use small pages of it, and give the huge pages' addresses.

    Nobody may touch what lies around them: the kernel would join them with their neighbours.

    Args:
        count: How many huge pages.
        every: Use every so manieth small page.
        pages: Use the first so many small pages; all by default.
        read: Use them without writing.
    """
    huge = huge_page()
    with memory((count + 3) * huge) as (start, whole):
        address = -(-start // huge) * huge + huge
        protect(start, address - start, 0)
        protect(address + count * huge, huge, 0)
        used = (pages or count * huge // mmap.PAGESIZE) * mmap.PAGESIZE
        with small_pages():
            for place in range(address - start, address - start + used, every * mmap.PAGESIZE):
                if read:
                    assert whole[place] == 0
                else:
                    whole[place] = 1
        yield range(address, address + count * huge, huge)


@needs_kernel
def test_memory_in_use_is_moved_and_keeps_what_it_holds() -> None:
    """If it fails, a model's weights stay in small pages, or, much worse, change."""
    with _blocks(BLOCKS) as blocks:
        size = BLOCKS * huge_page()
        assert in_bytes("AnonHugePages", address=blocks[0]) == 0
        before = ctypes.string_at(blocks[0], size)
        assert use_huge_pages(Kernel(moves=blocks)) >= size
        assert in_bytes("AnonHugePages", address=blocks[0]) == size
        assert ctypes.string_at(blocks[0], size) == before


@needs_kernel
@pytest.mark.parametrize(("every", "read"), [(2, False), (1, True)])
def test_memory_that_is_not_in_use_is_left_alone(every: int, *, read: bool) -> None:
    """If it fails, the process takes up to twice the memory that it needs, or more where it only reads."""
    with _blocks(BLOCKS, every=every, read=read) as blocks:
        resident = in_bytes("Rss", address=blocks[0])
        kernel = Kernel(moves=blocks)
        use_huge_pages(kernel)
        assert not kernel.asked.intersection(blocks)
        assert in_bytes("Rss", address=blocks[0]) == resident


@needs_kernel
@pytest.mark.parametrize(("missing", "moved"), [(0, True), (32, True), (33, False)])
def test_a_sixteenth_may_be_missing(missing: int, *, moved: bool) -> None:
    """If it fails, nothing is moved because of a hole here and there, or memory grows by what is not used."""
    pages = huge_page() // mmap.PAGESIZE
    with _blocks(1, pages=pages - missing * pages // 512) as blocks:
        kernel = Kernel()
        use_huge_pages(kernel)
        assert (blocks[0] in kernel.asked) == moved


@needs_kernel
@pytest.mark.parametrize("kind", ["own", "shared", "read-only", "file"])
def test_only_data_of_the_process_s_own_is_moved(tmp_path: Path, kind: str) -> None:
    """If it fails, the service copies what other processes use, or what is read from disk."""
    huge = huge_page()
    size = 4 * huge
    file = tmp_path / "file"
    file.write_bytes(b"x" * size)
    with file.open("r+b") as handle:
        number = handle.fileno() if kind == "file" else -1
        flags = {"shared": mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, "file": mmap.MAP_PRIVATE}.get(kind, OWN)
        with memory(size, file=number, flags=flags) as (start, whole):
            whole[:] = b"y" * size
            blocks = range(-(-start // huge) * huge, start + size - huge, huge)
            if kind == "read-only":
                protect(blocks[0], start + size - blocks[0], mmap.PROT_READ)
            kernel = Kernel()
            use_huge_pages(kernel)
    assert set(blocks).intersection(kernel.asked) == (set(blocks) if kind == "own" else set())


@needs_kernel
def test_what_lies_in_one_piece_is_moved_at_once() -> None:
    """If it fails, the start of a large model keeps a CPU busy for a second."""
    with _blocks(BLOCKS) as blocks:
        asked: list[tuple[int, int]] = []
        use_huge_pages(lambda address, length: asked.append((address, length)))
        assert (blocks[0], BLOCKS * huge_page()) in asked


@needs_kernel
def test_a_kernel_without_memory_in_one_piece_is_not_asked_on_and_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """If it fails, a start beside a full memory searches it hundreds of times, and says nothing."""
    caplog.set_level("INFO", logger="mlapi.huge_pages")
    with ExitStack() as stack:
        for _ in range(4 * REFUSALS):
            stack.enter_context(_blocks(1))
        never = Kernel(but_for_one_in=10**9)
        use_huge_pages(never)
        assert never.calls == REFUSALS
        now_and_then = Kernel(but_for_one_in=REFUSALS)
        use_huge_pages(now_and_then)
        assert now_and_then.calls >= 4 * REFUSALS
    why = r"no more \(\[Errno 12\] Cannot allocate memory\)"
    assert all(re.fullmatch(rf"huge pages: \d+ MiB, {why}", message) for message in caplog.messages)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("content", [None, "", "never\n"])
def test_a_system_without_huge_pages_runs_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    """If it fails, the service shows a traceback where there are no huge pages."""
    caplog.set_level("INFO", logger="mlapi.huge_pages")
    file = tmp_path / "size"
    if content is not None:
        file.write_text(content)
    assert use_huge_pages(size_file=file) == 0
    (message,) = caplog.messages
    assert message.startswith("huge pages: not used (")
