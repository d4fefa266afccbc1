"""`mlapi train` as a user meets it, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlapi.models.directory import ModelDirectory
from tests.support.hub_server import HubServer
from tests.support.labelled_texts import write_splits
from tests.support.tiny_encoder import write_classifier, write_encoder

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

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", self._code, *arguments],
            cwd=self._folder,
            env={**os.environ, **environment},
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


STARTER = {
    "encoder": "encoder",
    "layers": "0,2",
    "vocabulary": 120,
    "hidden-dim": 8,
    "teacher-epochs": 1,
    "student-epochs": 1,
    "threads": 1,
    "precision": "fp32",
}


def words(options: dict[str, object]) -> list[str]:
    """Return options as a command line has them."""
    return [str(word) for name, value in options.items() for word in (f"--{name}", value)]


def test_starter_trains_and_a_second_run_has_nothing_to_do(run: Run, tmp_path: Path) -> None:
    """If this fails, the documented command makes no model, is noisy, or trains again for nothing."""
    write_splits(tmp_path / "texts")
    write_encoder(tmp_path / "encoder")
    command = ["starter", "--data", "texts", "--out", "models/tiny", *words(STARTER)]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    first, *variants = done.stdout.splitlines()
    assert first.startswith("models/tiny: tiny, version ")
    assert variants[0].startswith("  torch-fp32: ")
    assert "test " in variants[0]
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert (tmp_path / "docs" / "images" / "starter-learning-curve.png").is_file()
    again = run(*command)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert "finished already" in again.stderr
    training = ModelDirectory.open(tmp_path / "models" / "tiny").manifest.training
    assert training is not None
    assert training.command == (
        "mlapi train starter --data texts --encoder encoder --layers 0,2 --vocabulary 120 --hidden-dim 8 "
        "--teacher-epochs 1 --student-epochs 1 --threads 1 --precision fp32 --seed 1"
    )


def test_classifier_trains_and_a_second_run_has_nothing_to_do(run: Run, tmp_path: Path) -> None:
    """If this fails, the documented command makes no model, is noisy, or trains again for nothing."""
    write_splits(tmp_path / "texts")
    write_encoder(tmp_path / "encoder")
    options = {"base": "encoder", "data": "texts/train.tsv", "dev": "texts/dev.tsv", "out": "models/mine"}
    command = ["classifier", *words({**options, "labels": "NEGATIVE,POSITIVE", "epochs": 1, "threads": 1})]
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("models/mine: mine, version ")
    about, *lines = done.stderr.splitlines()
    assert about.startswith("encoder: it has no head for this, so that is new; labels NEGATIVE, POSITIVE")
    assert all(line.startswith("epoch ") for line in lines), done.stderr
    assert (tmp_path / "build" / "train-mine" / "metrics.jsonl").is_file()
    again = run(*command)
    assert again.stdout == done.stdout
    assert "finished already" in again.stderr


@pytest.mark.parametrize("asked", ["someone/small", "someone/small@main"])
def test_classifier_starts_from_a_model_of_a_hub(run: Run, tmp_path: Path, asked: str) -> None:
    """If this fails, a resumed run starts from what the hub's branch has become since, or from nothing."""
    write_splits(tmp_path / "texts")
    written = write_classifier(tmp_path / "published")
    options = {"data": "texts/train.tsv", "dev": "texts/dev.tsv", "epochs": 1, "threads": 1}
    with HubServer() as hub:
        commit = hub.add("someone/small", {path.name: path.read_bytes() for path in written.iterdir()})
        command = ["classifier", "--base", asked, "--out", "mine", *words(options)]
        done = run(*command, **hub.environment(tmp_path))
        assert done.returncode == 0, done.stderr
        assert "someone/small: its head is kept" in done.stderr
        training = ModelDirectory.open(tmp_path / "mine").manifest.training
        assert training is not None
        assert (training.base_model, training.base_revision) == ("someone/small", commit)
        hub.add("someone/small", {"config.json": b"{}"})
        again = run(*command, **hub.environment(tmp_path))
        assert again.returncode == 0, again.stderr
        assert "finished already" in again.stderr


def test_classifier_starts_from_a_bare_encoder_of_a_hub(run: Run, tmp_path: Path) -> None:
    """If this fails, the commonest way to fine-tune, from an encoder as its makers publish it, is refused."""
    write_splits(tmp_path / "texts")
    written = write_encoder(tmp_path / "published")
    options = {"data": "texts/train.tsv", "dev": "texts/dev.tsv", "epochs": 1, "threads": 1}
    with HubServer() as hub:
        hub.add("someone/bare", {path.name: path.read_bytes() for path in written.iterdir()})
        command = ["classifier", "--base", "someone/bare", "--out", "mine", *words(options)]
        done = run(*command, **hub.environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "someone/bare: it has no head for this, so that is new" in done.stderr


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"base": "nowhere"}, "there is no folder nowhere"),
        ({"base": "texts"}, "texts has no readable config.json"),
        ({"out": "texts"}, "texts is there and is not a model directory"),
        ({"dev": "nowhere.tsv"}, "nowhere.tsv cannot be read"),
        ({"labels": "NO"}, "--labels: 'NO' does not name two or more different labels"),
        ({"precision": "fp16"}, "--precision fp16 needs a GPU"),
    ],
)
def test_what_classifier_cannot_use_is_one_line_of_error(
    run: Run, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    """If this fails, a wrong option ends in a traceback, or is found only after the training."""
    import torch

    if "precision" in change and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    write_splits(tmp_path / "texts")
    write_encoder(tmp_path / "encoder")
    options = {"base": "encoder", "data": "texts/train.tsv", "dev": "texts/dev.tsv", "out": "models/mine"}
    done = run("classifier", *words({**options, **change}))
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mlapi: {complaint}")


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


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"encoder": "texts"}, "texts has no config.json, tokenizer.json, model.safetensors"),
        ({"layers": "first"}, "--layers takes numbers with commas between them"),
    ],
)
def test_what_starter_cannot_use_is_one_line_of_error(
    run: Run, tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    """If this fails, a wrong option ends in a traceback."""
    write_splits(tmp_path / "texts")
    write_encoder(tmp_path / "encoder")
    done = run("starter", "--data", "texts", *words({**STARTER, **change}))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mlapi: {complaint}")


@pytest.mark.parametrize("labels", ["bad,bad", "bad,", "bad"])
def test_labels_that_cannot_be_told_apart_are_refused_at_once(run: Run, labels: str) -> None:
    """If this fails, a slip in --labels ends in a traceback when the training is over."""
    done = run("classifier", *words({"base": "b", "data": "d", "dev": "e", "out": "o", "labels": labels}))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"mlapi: --labels: {labels!r} does not name two or more different labels"
    ]
