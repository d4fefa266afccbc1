"""The starter's training, end to end on a tiny data set."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from mlapi.engines.factory import load_classifier
from mlapi.errors import ConfigurationError
from mlapi.models.directory import ModelDirectory
from mlapi.models.manifest import Variant, write_manifest
from mlapi.training.data import read_splits
from mlapi.training.progress import TrainingProgress
from mlapi.training.recipe import Recipe
from tests.support.labelled_texts import write_splits

pytestmark = pytest.mark.torch

TINY = Recipe(
    vocabulary=150,
    dim=16,
    layers=1,
    heads=2,
    hidden_dim=32,
    positions=32,
    epochs=8,
    batch_size=16,
    learning_rate=0.02,
    dropout=0.1,
    word_dropout=0.1,
    ema_decay=0.9,
    evaluations=1,
    checkpoint_steps=2,
)
KILL_AFTER_SAVES = 9
"""Some way into the second of eight epochs."""

PNG = b"\x89PNG\r\n\x1a\n"
ROOT = Path(__file__).parents[2]


def train(
    data: Path, folder: Path, recipe: Recipe = TINY, **options: Path | None
) -> tuple[ModelDirectory, str]:
    """Train in `folder` and return the model directory with what was said."""
    from mlapi.training.starter import train_starter

    said = io.StringIO()
    with TrainingProgress(Console(file=said, width=200)) as progress:
        train_starter(
            read_splits(data),
            folder / "tiny",
            work=folder / "work",
            recipe=recipe,
            command="mlapi train starter --data tiny",
            progress=progress,
            **options,
        )
    return ModelDirectory.open(folder / "tiny"), said.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data set's folder."""
    return write_splits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelDirectory, str]:
    """One finished run."""
    folder = tmp_path_factory.mktemp("run")
    return train(data, folder, curve=folder / "images" / "curve.png")


def test_a_run_ends_as_a_model_directory_that_serves(
    trained: tuple[ModelDirectory, str],
) -> None:
    """If this fails, training does not give what the service loads: files, digests, golden texts."""
    directory, _ = trained
    manifest = directory.manifest
    directory.verify(manifest.files)
    directory.verify_labels()
    assert manifest.name == "tiny"
    assert manifest.architecture == "DistilBertForSequenceClassification"
    assert manifest.max_length == TINY.positions
    assert manifest.training is not None
    assert manifest.training.command == "mlapi train starter --data tiny"
    assert {golden.truncated for golden in manifest.golden} == {False, True}
    for name in ("torch-fp32", "onnx-fp32"):
        assert set(manifest.variants[name].measured) == {"dev", "test"}
        load_classifier(directory.path, variant=name, threads=1).close()


def test_the_model_learns_its_task(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, the loop runs but teaches nothing: labels, loss or the average of weights are off."""
    directory, _ = trained
    assert directory.manifest.variants["onnx-fp32"].measured["dev"].accuracy >= 0.75


def test_a_run_draws_its_learning_curve(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, the picture of the model card is missing, not a PNG, or too large for a repository."""
    directory, _ = trained
    picture = directory.path.parent / "images" / "curve.png"
    assert picture.read_bytes().startswith(PNG)
    assert picture.stat().st_size < 60_000


def test_off_a_terminal_a_run_says_one_line_per_evaluation(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, logs fill with fragments of a progress bar, or stay empty."""
    lines = trained[1].splitlines()
    assert len([line for line in lines if line.startswith("epoch ")]) == TINY.epochs
    assert "\x1b" not in trained[1]


def test_the_same_seed_and_data_give_the_same_files(
    data: Path, trained: tuple[ModelDirectory, str], tmp_path: Path
) -> None:
    """If this fails, nobody can check that a published model came from the recipe that it names."""
    again, _ = train(data, tmp_path)
    assert again.manifest == trained[0].manifest


def test_a_finished_run_says_so_and_changes_nothing(data: Path, trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, repeating a finished command trains again, or reads the test split a second time."""
    folder = trained[0].path.parent
    before = (folder / "tiny" / "manifest.json").stat().st_mtime_ns
    _, said = train(data, folder)
    assert "finished already" in said
    assert (folder / "tiny" / "manifest.json").stat().st_mtime_ns == before


def test_a_run_killed_while_it_wrote_its_model_writes_it_again(data: Path, tmp_path: Path) -> None:
    """If this fails, a kill in the last seconds leaves a run that says it is finished and has no model."""
    short = TINY.model_copy(update={"epochs": 1})
    first, _ = train(data, tmp_path, short)
    write_manifest(first.path, first.manifest.model_copy(update={"variants": unmeasured(first)}))
    assert train(data, tmp_path, short)[0].manifest == first.manifest
    shutil.rmtree(first.path)
    assert train(data, tmp_path, short)[0].manifest == first.manifest


def unmeasured(directory: ModelDirectory) -> dict[str, Variant]:
    """Return the variants as they are before the measurements are recorded."""
    variants = directory.manifest.variants
    return {name: variant.model_copy(update={"measured": {}}) for name, variant in variants.items()}


def test_other_settings_do_not_go_on_from_this_checkpoint(
    data: Path, trained: tuple[ModelDirectory, str]
) -> None:
    """If this fails, two different runs are mixed into one model that no recipe describes."""
    with pytest.raises(ConfigurationError, match="belongs to a run with other data or settings"):
        train(data, trained[0].path.parent, TINY.model_copy(update={"seed": 2}))


def test_training_stops_early_when_dev_does_not_improve(data: Path, tmp_path: Path) -> None:
    """If this fails, a run that has learnt all it can goes on to the last epoch."""
    still = TINY.model_copy(update={"learning_rate": 1e-12, "patience": 2, "ema_decay": 0.0})
    _, said = train(data, tmp_path, still)
    assert "stopped early: 2 evaluations without a better accuracy on dev" in said
    assert said.count("epoch ") == 3


def test_a_killed_run_goes_on_and_gives_the_same_weights(
    data: Path, trained: tuple[ModelDirectory, str], tmp_path: Path
) -> None:
    """If this fails, a killed run must start over, or ends with other weights than it would have had."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.torch.test_starter import train\n"
        "print(train(Path(sys.argv[1]), Path(sys.argv[2]))[1])\n",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(data), str(tmp_path)]
    checkpoint = tmp_path / "work" / "checkpoint.pt"
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        saves: set[int] = set()
        while len(saves) < KILL_AFTER_SAVES and process.poll() is None:
            if checkpoint.exists():
                saves.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "tiny").exists()

    resumed, said = train(data, tmp_path)

    assert "going on from step" in said
    assert resumed.manifest == trained[0].manifest
