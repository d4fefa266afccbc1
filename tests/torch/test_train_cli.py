"""`mlapi train` as a user meets it, in processes of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlapi.models.directory import ModelDirectory
from tests.support.labelled_texts import write_splits

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch


@pytest.fixture
def run(tmp_path: Path, pytestconfig: pytest.Config) -> Run:
    """Run `mlapi train` in an empty folder."""
    return Run(tmp_path, pytestconfig.rootpath)


class Run:
    """Runs `mlapi train` with arguments."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        self._code = (
            f"import sys; sys.path.insert(0, {str(root)!r}); "
            "from mlapi.training.cli import train_app; train_app(prog_name='mlapi train')"
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", self._code, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )


def test_lab_trains_into_models_lab(run: Run, tmp_path: Path) -> None:
    """If this fails, the documented command does not make the model, or does not say what came out."""
    write_splits(tmp_path / "texts")
    done = run("lab", "--data", "texts", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "lab-fp32: dev " in done.stdout
    manifest = ModelDirectory.open(tmp_path / "models" / "lab").manifest
    assert manifest.training is not None
    assert manifest.training.command == "mlapi train lab --data texts --seed 3"


def test_starter_trains_and_a_second_run_has_nothing_to_do(run: Run, tmp_path: Path) -> None:
    """If this fails, the documented command makes no model, is noisy, or trains again for nothing."""
    write_splits(tmp_path / "texts")
    sizes = {"epochs": 1, "vocabulary": 120, "dim": 8, "layers": 1, "heads": 2, "hidden-dim": 8}
    options = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    command = ["starter", "--data", "texts", "--out", "models/tiny", *options]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0].strip() for line in done.stdout.splitlines()] == [
        "models/tiny",
        "torch-fp32",
        "onnx-fp32",
    ]
    assert all(line.startswith("epoch ") for line in done.stderr.splitlines()), done.stderr
    assert (tmp_path / "docs" / "images" / "starter-learning-curve.png").is_file()
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert "finished already" in again.stderr


@pytest.mark.parametrize("command", ["starter", "lab"])
def test_a_malformed_line_is_one_line_of_error(run: Run, tmp_path: Path, command: str) -> None:
    """If this fails, bad data ends in a traceback, or is found only after the training."""
    write_splits(tmp_path / "texts")
    with (tmp_path / "texts" / "test.tsv").open("a", encoding="utf-8") as file:
        file.write("no label here\n")
    done = run(command, "--data", "texts")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "mlapi: texts/test.tsv, line 14: expected one text, one tab and one label\n"


def test_an_output_that_is_no_model_is_refused_before_training(run: Run, tmp_path: Path) -> None:
    """If this fails, a wrong --out costs ten minutes, or someone's files."""
    write_splits(tmp_path / "texts")
    done = run("lab", "--data", "texts", "--out", "texts")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("mlapi: texts is there and is not a model directory")


def test_a_teacher_that_is_no_model_is_one_line_of_error(run: Run, tmp_path: Path) -> None:
    """If this fails, a wrong --teacher ends in a traceback."""
    write_splits(tmp_path / "texts")
    done = run("starter", "--data", "texts", "--teacher", "texts", "--vocabulary", "120")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("mlapi: texts/vocabulary.txt cannot be read")


def test_heads_that_do_not_divide_the_width_are_one_line_of_error(run: Run, tmp_path: Path) -> None:
    """If this fails, sizes that do not fit end in a traceback from inside the network."""
    write_splits(tmp_path / "texts")
    done = run("starter", "--data", "texts", "--dim", "10", "--heads", "4")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == "mlapi: --heads 4 does not divide --dim 10"
