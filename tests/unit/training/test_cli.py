"""`mlapi train` as a user meets it who has not installed what training needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlapi.training.commands import recorded_command

WITHOUT = """
import sys
for name in ("torch", "sklearn"):
    sys.modules[name] = None
from mlapi.training.cli import train_app
train_app(prog_name="mlapi train")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `mlapi train` in a process that has neither torch nor scikit-learn."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


@pytest.mark.parametrize(
    ("command", "result"),
    [("starter", "models/starter"), ("lab", "models/lab"), ("classifier", "mlapi model export")],
)
def test_help_needs_nothing_and_names_the_data(command: str, result: str) -> None:
    """If this fails, --help is slow, fails without torch, or leaves the form of the data a riddle."""
    done = run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "sentence<TAB>label" in " ".join(done.stdout.split())
    assert result in " ".join(done.stdout.split())


@pytest.mark.parametrize(("command", "library"), [("starter", "torch"), ("lab", "sklearn")])
def test_a_missing_library_is_one_line_that_names_the_extra(command: str, library: str) -> None:
    """If this fails, a user without the extra gets a traceback, or learns of it after ten minutes."""
    done = run(command, "--data", "anywhere")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mlapi: mlapi train {command} needs {library}")
    assert "make venv-torch" in line


def test_classifier_needs_torch_alone() -> None:
    """If this fails, a user without the extra gets a traceback, or must install what is not needed."""
    done = run("classifier", "--base", "b", "--data", "d", "--dev", "e", "--out", "o")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("mlapi: mlapi train classifier needs torch")


def test_data_must_be_named() -> None:
    """If this fails, a forgotten --data is not a usage error."""
    done = run("lab")
    assert done.returncode == 2
    assert "--data" in done.stderr


@pytest.mark.parametrize(
    ("data", "recorded"),
    [
        ("sst2", "sst2"),
        ("data/sst2", "data/sst2"),
        ("/somewhere/else/sst2", "sst2"),
        ("../beside/sst2", "sst2"),
    ],
)
def test_the_recorded_command_names_no_ones_home(data: str, recorded: str) -> None:
    """If this fails, a manifest carries a path of the machine that made it."""
    command = recorded_command("lab", {"data": Path(data), "teacher": None, "batch_size": 8, "seed": 3})
    assert command == f"mlapi train lab --data {recorded} --batch-size 8 --seed 3"
