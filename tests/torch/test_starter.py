"""The starter's recipe, end to end on a tiny encoder and a tiny data set."""

from __future__ import annotations

import io
import json
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
from mlapi.training.recipe import Recipe, Schedule
from tests.support.labelled_texts import write_splits
from tests.support.tiny_encoder import write_encoder

pytestmark = pytest.mark.torch

RUN = Schedule(epochs=6, batch_size=16, learning_rate=4e-3, evaluations=1, patience=6, checkpoint_steps=2)
TINY = Recipe(
    layers=(0, 2),
    vocabulary=120,
    hidden_dim=48,
    teacher=RUN,
    student=RUN.model_copy(update={"ema_decay": 0.9}),
    threads=1,
)
SHORT = TINY.model_copy(
    update={
        stage: getattr(TINY, stage).model_copy(update={"epochs": 1, "checkpoint_steps": 100})
        for stage in ("teacher", "student")
    }
)
KILL_AFTER_SAVES = 9
"""Some way into the second epoch."""

PNG = b"\x89PNG\r\n\x1a\n"
ROOT = Path(__file__).parents[2]


def train(
    inputs: Path,
    folder: Path,
    recipe: Recipe = TINY,
    *,
    curve: Path | None = None,
    variants: tuple[str, ...] = ("torch-fp32", "onnx-fp32"),
) -> tuple[ModelDirectory, str]:
    """Train in `folder` and return the model directory with what was said."""
    from mlapi.training.encoder import find_encoder
    from mlapi.training.starter import train_starter

    said = io.StringIO()
    with TrainingProgress(Console(file=said, width=200)) as progress:
        train_starter(
            read_splits(inputs / "data"),
            folder / "tiny",
            work=folder / "work",
            recipe=recipe,
            encoder=find_encoder(inputs / "encoder"),
            command="mlapi train starter --data tiny",
            progress=progress,
            curve=curve,
            variants=variants,
        )
    return ModelDirectory.open(folder / "tiny"), said.getvalue()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny data set and the tiny encoder."""
    folder = tmp_path_factory.mktemp("inputs")
    write_splits(folder / "data")
    write_encoder(folder / "encoder")
    return folder


@pytest.fixture(scope="module")
def trained(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelDirectory, str]:
    """One finished run."""
    folder = tmp_path_factory.mktemp("run")
    return train(inputs, folder, curve=folder / "images" / "curve.png")


def test_a_run_ends_as_a_model_directory_that_serves(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, training does not give what the service loads: files, digests, golden texts."""
    directory, _ = trained
    manifest = directory.manifest
    directory.verify(manifest.files)
    directory.verify_labels()
    assert manifest.name == "tiny"
    assert manifest.architecture == "DistilBertForSequenceClassification"
    assert {golden.truncated for golden in manifest.golden} == {False, True}
    for name, variant in manifest.variants.items():
        assert set(variant.measured) >= {"dev", "test"}
        load_classifier(directory.path, variant=name, threads=1).close()


def test_the_manifest_says_where_the_weights_began(trained: tuple[ModelDirectory, str], inputs: Path) -> None:
    """If this fails, a published starter does not name the encoder it was made of, or not its very files."""
    import hashlib

    training = trained[0].manifest.training
    assert training is not None
    assert training.command == "mlapi train starter --data tiny"
    assert training.base_model == "encoder"
    weights = (inputs / "encoder" / "model.safetensors").read_bytes()
    assert training.base_revision == hashlib.sha256(weights).hexdigest()


def test_the_student_has_the_shape_of_the_recipe_and_half_precision(
    trained: tuple[ModelDirectory, str],
) -> None:
    """If this fails, the committed files are larger than the recipe says."""
    from safetensors import safe_open

    config = json.loads((trained[0].path / "config.json").read_bytes())
    assert (config["n_layers"], config["vocab_size"], config["hidden_dim"]) == (2, 120, 48)
    with safe_open(trained[0].path / "model.safetensors", framework="numpy") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"F16"}  # noqa: SIM118


def test_both_stages_learn_their_task(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, a loop runs but teaches nothing: labels, loss or the average of weights are off."""
    directory, _ = trained
    metrics = (directory.path.parent / "work" / "teacher" / "metrics.jsonl").read_text(encoding="utf-8")
    assert max(json.loads(line)["accuracy"] for line in metrics.splitlines()) >= 0.75
    assert all(variant.measured["dev"].accuracy >= 0.75 for variant in directory.manifest.variants.values())


def test_a_run_draws_its_learning_curves(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, the picture of the model card is missing, not a PNG, or too large for a repository."""
    picture = trained[0].path.parent / "images" / "curve.png"
    assert picture.read_bytes().startswith(PNG)
    assert picture.stat().st_size < 100_000


def test_off_a_terminal_a_run_says_one_line_per_evaluation(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, logs fill with fragments of a progress bar, or do not tell the stages apart."""
    lines = trained[1].splitlines()
    for stage in ("teacher", "student"):
        assert len([line for line in lines if line.startswith(f"{stage}, epoch ")]) == RUN.epochs
    assert "\x1b" not in trained[1]


def test_a_finished_run_says_so_and_changes_nothing(
    inputs: Path, trained: tuple[ModelDirectory, str]
) -> None:
    """If this fails, repeating a finished command trains again, or reads the test split a second time."""
    folder = trained[0].path.parent
    before = (folder / "tiny" / "manifest.json").stat().st_mtime_ns
    _, said = train(inputs, folder)
    assert "finished already" in said
    assert (folder / "tiny" / "manifest.json").stat().st_mtime_ns == before


def test_a_run_killed_while_it_wrote_its_model_writes_it_again(inputs: Path, tmp_path: Path) -> None:
    """If this fails, a kill in the last seconds leaves a run that says it is finished and has no model."""
    first, _ = train(inputs, tmp_path, SHORT)
    write_manifest(first.path, first.manifest.model_copy(update={"variants": unmeasured(first)}))
    assert train(inputs, tmp_path, SHORT)[0].manifest == first.manifest
    shutil.rmtree(first.path)
    assert train(inputs, tmp_path, SHORT)[0].manifest == first.manifest


def unmeasured(directory: ModelDirectory) -> dict[str, Variant]:
    """Return the variants as they are before the measurements are recorded."""
    variants = directory.manifest.variants
    return {name: variant.model_copy(update={"measured": {}}) for name, variant in variants.items()}


def test_other_settings_do_not_go_on_from_this_checkpoint(
    inputs: Path, trained: tuple[ModelDirectory, str]
) -> None:
    """If this fails, two different runs are mixed into one model that no recipe describes."""
    with pytest.raises(ConfigurationError, match=r"teacher.checkpoint\.pt belongs to a run with other data"):
        train(inputs, trained[0].path.parent, TINY.model_copy(update={"seed": 2}))


def test_another_shape_of_student_keeps_the_teacher(
    inputs: Path, trained: tuple[ModelDirectory, str], tmp_path: Path
) -> None:
    """If this fails, trying a smaller student costs the hours of the teacher again."""
    shutil.copytree(trained[0].path.parent / "work", tmp_path / "work")
    other = TINY.model_copy(update={"hidden_dim": 8, "student": SHORT.student})
    with pytest.raises(ConfigurationError, match=r"student.checkpoint\.pt belongs to a run with other data"):
        train(inputs, tmp_path, other)
    (tmp_path / "work" / "student" / "checkpoint.pt").unlink()
    directory, said = train(inputs, tmp_path, other)
    assert "teacher, epoch" not in said
    assert json.loads((directory.path / "config.json").read_bytes())["hidden_dim"] == 8


def test_training_stops_early_when_dev_does_not_improve(inputs: Path, tmp_path: Path) -> None:
    """If this fails, a run that has learnt all it can goes on to the last epoch."""
    still = RUN.model_copy(update={"learning_rate": 1e-12, "patience": 2})
    _, said = train(inputs, tmp_path, TINY.model_copy(update={"teacher": still, "student": SHORT.student}))
    assert "stopped early: 2 evaluations without a better accuracy on dev" in said
    assert said.count("teacher, epoch ") == 3


@pytest.mark.parametrize("stage", ["teacher", "student"])
def test_a_killed_run_goes_on_and_gives_the_same_weights(
    inputs: Path, trained: tuple[ModelDirectory, str], tmp_path: Path, stage: str
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
    command = [sys.executable, str(script), str(inputs), str(tmp_path)]
    checkpoint = tmp_path / "work" / stage / "checkpoint.pt"
    with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
        saves: set[int] = set()
        while len(saves) < KILL_AFTER_SAVES and process.poll() is None:
            if checkpoint.exists():
                saves.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "tiny").exists()

    resumed, said = train(inputs, tmp_path)

    assert f"{stage}: going on from step" in said
    assert resumed.manifest == trained[0].manifest
