"""The README's table of settings against the settings themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlapi.settings import Settings
from scripts import settings_table
from scripts.settings_table import BEGIN, END, MarkerError, main, replaced, table

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def readme(tmp_path: Path) -> Callable[[str], Path]:
    """Write a README with this part between the markers."""

    def write(part: str) -> Path:
        path = tmp_path / "README.md"
        path.write_text(f"# Title\n\n{BEGIN}\n\n{part}\n\n{END}\n\nEnd.\n", encoding="utf-8")
        return path

    return write


def test_readme_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """If it fails, the README describes other settings than the service has."""
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_every_setting_has_a_row_with_a_meaning() -> None:
    """If it fails, a setting exists that no reader of the README can find or understand."""
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table().splitlines()[2:]]
    assert len(rows) == len(Settings.model_fields)
    for variable, default, meaning in rows:
        assert variable.startswith("`MLAPI_")
        assert default
        assert meaning.endswith(".")


@pytest.mark.parametrize(
    "row",
    [
        "| `MLAPI_MODEL` | `models/starter` |",
        "| `MLAPI_PORT` | `8000` |",
        "| `MLAPI_DRAIN_TIMEOUT_S` | `30` |",
        "| `MLAPI_CACHE_TIMEOUT_S` | `0.1` |",
        "| `MLAPI_ACCESS_LOG` | `false` |",
    ],
)
def test_rows_spell_variables_and_defaults_as_the_environment_does(row: str) -> None:
    """If it fails, a value copied from the table into a shell does not mean what the table says."""
    assert row in table()


def test_choices_and_secrets_are_spelt_out() -> None:
    """If it fails, the reader must guess the allowed words, or sees the asterisks of a secret's default."""
    assert "One of `auto`, `text`, `json`." in table()
    assert "| `MLAPI_REDIS_URL` | `memory://` |" in table()
    assert "**" not in table()


def test_stale_table_fails_the_check_and_stays(
    readme: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """If it fails, make check lets a stale table pass, or changes files behind the developer's back."""
    path = readme("| old |")
    before = path.read_text(encoding="utf-8")
    assert main(["--check"], readme=path) == settings_table.EXIT_STALE
    assert settings_table.REMEDY in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == before


def test_rewriting_replaces_only_the_part_between_the_markers(readme: Callable[[str], Path]) -> None:
    """If it fails, the script damages the README around the table, or a second run changes it again."""
    path = readme("| old |")
    assert main([], readme=path) == 0
    written = path.read_text(encoding="utf-8")
    assert written.startswith("# Title\n\n")
    assert written.endswith(f"{END}\n\nEnd.\n")
    assert table() in written
    assert "| old |" not in written
    assert main(["--check"], readme=path) == 0


@pytest.mark.parametrize(
    "document",
    ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"],
    ids=["none", "begin only", "end only", "swapped", "twice"],
)
def test_misplaced_markers_are_refused(document: str) -> None:
    """If it fails, the script writes the table into a place that nobody chose."""
    with pytest.raises(MarkerError, match="exactly one"):
        replaced(document)


def test_missing_markers_are_reported_not_raised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If it fails, make check ends in a traceback when someone deletes a marker."""
    path = tmp_path / "README.md"
    path.write_text("# Title\n", encoding="utf-8")
    assert main(["--check"], readme=path) == settings_table.EXIT_STALE
    assert "README.md" in capsys.readouterr().err
