"""Tables, and the pages that they are written into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.markdown import MarkerError, page_at, replaced, significant

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END = "<!-- begin -->", "<!-- end -->"


@pytest.mark.parametrize(
    ("value", "written"), [(1234.5, "1234"), (12.345, "12.3"), (0.012345, "0.0123"), (0.0, "0.0")]
)
def test_numbers_keep_three_digits(value: float, written: str) -> None:
    """Tables would show digits that were not measured, or drop some that were."""
    assert significant(value) == written


def test_tables_replace_what_lies_between_the_markers() -> None:
    """A new run would damage the page around its tables, or accept a page without a place."""
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    fresh = replaced(page, "new", begin=BEGIN, end=END)
    assert fresh == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert replaced(fresh, "new", begin=BEGIN, end=END) == fresh
    for wrong in ("", BEGIN, f"{END}{BEGIN}", page + page):
        with pytest.raises(MarkerError):
            replaced(wrong, "new", begin=BEGIN, end=END)


def test_a_page_is_written_again_and_again(tmp_path: Path) -> None:
    """Of a run that writes after each measurement the first would be kept, or all of them."""
    path = tmp_path / "page.md"
    path.write_text(f"{BEGIN}{END}", encoding="utf-8")
    page = page_at(path, begin=BEGIN, end=END)
    assert page is not None
    for text in ("first", "second"):
        page.write(text)
        assert path.read_text(encoding="utf-8") == f"{BEGIN}\n\n{text}\n\n{END}"


def test_a_page_without_a_place_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    """An hour of measuring would end with a message that there is no place for the tables."""
    path = tmp_path / "page.md"
    with pytest.raises(SystemExit, match="name a file with the markers"):
        page_at(path, begin=BEGIN, end=END)
    path.write_text(BEGIN, encoding="utf-8")
    with pytest.raises(SystemExit, match="exactly one"):
        page_at(path, begin=BEGIN, end=END)
    assert page_at(None, begin=BEGIN, end=END) is None
