"""Fine-tuning on one's own texts, end to end on tiny models."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from mlapi.engines.factory import load_classifier
from mlapi.errors import ConfigurationError, ModelError
from mlapi.models.directory import ModelDirectory
from mlapi.training.progress import TrainingProgress
from mlapi.training.recipe import Schedule
from tests.support.labelled_texts import BLAME, PRAISE, THINGS, write_split, write_splits
from tests.support.tiny_encoder import write_encoder

if TYPE_CHECKING:
    from mlapi.training.machine import Machine

pytestmark = pytest.mark.torch

SCHEDULE = Schedule(
    epochs=6, batch_size=16, learning_rate=3e-3, evaluations=1, patience=6, checkpoint_steps=2
)
SHORT = SCHEDULE.model_copy(update={"epochs": 1, "checkpoint_steps": 100})
KILL_AFTER_SAVES = 9
"""Some way into the second epoch."""

ROOT = Path(__file__).parents[2]


def train(
    base: Path,
    data: Path,
    folder: Path,
    schedule: Schedule = SCHEDULE,
    *,
    labels: tuple[str, ...] = ("NEGATIVE", "POSITIVE"),
    machine: Machine | None = None,
) -> tuple[ModelDirectory, str]:
    """Fine-tune in `folder` and return the model directory with what was said."""
    import torch

    from mlapi.training.base import open_base
    from mlapi.training.classes import read_classes
    from mlapi.training.classifier import Lesson, train_classifier
    from mlapi.training.machine import PlainMachine

    torch.set_num_threads(1)
    said = io.StringIO()
    lesson = Lesson(read_classes(data / "train.tsv", labels), read_classes(data / "dev.tsv", labels), labels)
    with TrainingProgress(Console(file=said, width=300)) as progress:
        train_classifier(
            open_base(base),
            lesson,
            folder / "mine",
            work=folder / "work",
            schedule=schedule,
            machine=machine or PlainMachine("cpu", precision="fp32"),
            command="mlapi train classifier --base tiny",
            progress=progress,
        )
    return ModelDirectory.open(folder / "mine"), said.getvalue()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny encoder and the tiny data set."""
    folder = tmp_path_factory.mktemp("inputs")
    write_encoder(folder / "encoder")
    write_splits(folder / "data")
    return folder


@pytest.fixture(scope="module")
def trained(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelDirectory, str]:
    """One finished run from a bare encoder."""
    return train(inputs / "encoder", inputs / "data", tmp_path_factory.mktemp("run"))


def weights(directory: ModelDirectory) -> dict[str, Any]:
    """Return a model's tensors."""
    from safetensors.numpy import load_file

    return dict(load_file(directory.path / "model.safetensors"))


def test_a_run_ends_as_a_model_directory_that_serves(
    trained: tuple[ModelDirectory, str], inputs: Path
) -> None:
    """If this fails, what was fine-tuned cannot be verified, exported or served."""
    directory, _ = trained
    manifest = directory.manifest
    directory.verify(manifest.files)
    directory.verify_labels()
    assert set(manifest.variants) == {"torch-fp32"}
    assert manifest.architecture == "BertForSequenceClassification"
    assert manifest.labels == ("NEGATIVE", "POSITIVE")
    assert manifest.variants["torch-fp32"].measured["dev"].accuracy >= 0.75
    assert manifest.training is not None
    assert set(manifest.training.data) == {"train.tsv", "dev.tsv"}
    assert (manifest.training.base_model, len(str(manifest.training.base_revision))) == ("encoder", 64)
    load_classifier(directory.path, variant="torch-fp32", threads=1).close()


def test_metrics_and_curve_lie_beside_the_checkpoint(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, nobody can see how the fine-tuning went."""
    work = trained[0].path.parent / "work"
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert set(lines[0]) == {"step", "epoch", "learning_rate", "loss", "accuracy"}
    assert lines[-1]["learning_rate"] < lines[0]["learning_rate"] <= SCHEDULE.learning_rate
    assert (work / "learning-curve.png").read_bytes().startswith(b"\x89PNG")


def test_an_encoder_gets_a_head_and_says_so(trained: tuple[ModelDirectory, str]) -> None:
    """If this fails, the user does not learn that the head starts from nothing."""
    assert "it has no head for this, so that is new; labels NEGATIVE, POSITIVE" in trained[1]


def test_a_classifier_with_the_same_labels_keeps_its_head(
    trained: tuple[ModelDirectory, str], inputs: Path, tmp_path: Path
) -> None:
    """If this fails, fine-tuning a finished classifier throws away what it knew."""
    still = SHORT.model_copy(update={"learning_rate": 1e-12})
    directory, said = train(trained[0].path, inputs / "data", tmp_path, still)
    assert "its head is kept" in said
    assert directory.manifest.training is not None
    assert directory.manifest.training.base_revision == trained[0].manifest.version
    before, after = weights(trained[0]), weights(directory)
    assert abs(after["classifier.weight"] - before["classifier.weight"]).max() < 1e-6
    assert abs(after["bert.pooler.dense.weight"] - before["bert.pooler.dense.weight"]).max() < 1e-6


def test_other_labels_get_a_new_head_on_the_same_encoder(
    trained: tuple[ModelDirectory, str], tmp_path: Path
) -> None:
    """If this fails, three labels cannot be taught to a model of two, or its encoder is lost too."""
    words = {"praise": PRAISE, "blame": BLAME, "thing": THINGS}
    rows = [f"{word} {label}" for label, listed in words.items() for word in listed]
    for name in ("train.tsv", "dev.tsv"):
        lines = ["sentence\tlabel", *("\t".join(row.rsplit(" ", 1)) for row in rows)]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    still = SHORT.model_copy(update={"learning_rate": 1e-12})
    directory, said = train(trained[0].path, tmp_path, tmp_path, still, labels=("blame", "praise", "thing"))
    assert "its head told NEGATIVE, POSITIVE apart, so that is new" in said
    assert directory.manifest.labels == ("blame", "praise", "thing")
    before, after = weights(trained[0]), weights(directory)
    assert after["classifier.weight"].shape[0] == 3
    embeddings = "bert.embeddings.word_embeddings.weight"
    assert abs(after[embeddings] - before[embeddings]).max() < 1e-6


def test_a_finished_run_says_so_and_changes_nothing(
    inputs: Path, trained: tuple[ModelDirectory, str]
) -> None:
    """If this fails, repeating a finished command trains again."""
    folder = trained[0].path.parent
    before = (folder / "mine" / "manifest.json").stat().st_mtime_ns
    _, said = train(inputs / "encoder", inputs / "data", folder)
    assert "finished already" in said
    assert (folder / "mine" / "manifest.json").stat().st_mtime_ns == before


def test_other_data_do_not_go_on_from_this_checkpoint(
    inputs: Path, trained: tuple[ModelDirectory, str], tmp_path: Path
) -> None:
    """If this fails, two different runs are mixed into one model that no manifest describes."""
    write_split(tmp_path / "train.tsv", [("a lovely song", 1), ("a dull song", 0)])
    write_split(tmp_path / "dev.tsv", [("a lovely film", 1), ("a dull film", 0)])
    with pytest.raises(ConfigurationError, match="belongs to a run with other data"):
        train(inputs / "encoder", tmp_path, trained[0].path.parent)


def test_a_killed_run_goes_on_and_gives_the_same_weights(
    inputs: Path, trained: tuple[ModelDirectory, str], tmp_path: Path
) -> None:
    """If this fails, a killed run must start over, or ends with other weights than it would have had."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.torch.test_training_classifier import train\n"
        "inputs = Path(sys.argv[1])\n"
        "train(inputs / 'encoder', inputs / 'data', Path(sys.argv[2]))\n",
        encoding="utf-8",
    )
    command = [sys.executable, str(script), str(inputs), str(tmp_path)]
    checkpoint = tmp_path / "work" / "checkpoint.pt"
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        saves: set[int] = set()
        while len(saves) < KILL_AFTER_SAVES and process.poll() is None:
            if checkpoint.exists():
                saves.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "mine").exists()

    resumed, said = train(inputs / "encoder", inputs / "data", tmp_path)

    assert "going on from step" in said
    assert resumed.manifest == trained[0].manifest


def test_a_base_of_another_kind_is_refused(inputs: Path, tmp_path: Path) -> None:
    """If this fails, a model that cannot be served is fine-tuned for hours."""
    config = json.loads((inputs / "encoder" / "config.json").read_bytes())
    for change, complaint in (
        ({"model_type": "gpt2"}, "gpt2"),
        ({"auto_map": {"AutoModel": "mine.Model"}}, "auto_map"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
        with pytest.raises(ModelError, match=complaint):
            train(tmp_path, inputs / "data", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        train(tmp_path, inputs / "data", tmp_path)


def test_half_precision_trains_too(inputs: Path, tmp_path: Path) -> None:
    """If this fails, mixed precision gives no model, or a model stored in half precision."""
    from mlapi.training.machine import PlainMachine

    directory, said = train(
        inputs / "encoder", inputs / "data", tmp_path, SHORT, machine=PlainMachine("cpu", precision="bf16")
    )
    assert "cpu, bf16, 1 process" in said
    assert {tensor.dtype.name for tensor in weights(directory).values()} == {"float32"}
    with pytest.raises(ConfigurationError, match="fp16 needs a GPU"):
        PlainMachine("cpu", precision="fp16")


COMMAND = "from mlapi.training.cli import train_app\nif __name__ == '__main__': train_app()\n"


def test_two_processes_give_the_model_that_one_gives(inputs: Path, tmp_path: Path) -> None:
    """If this fails, several GPUs see other batches than one, or write over each other."""
    pytest.importorskip("accelerate", reason="accelerate is not installed: make venv-torch installs it")
    script = tmp_path / "run.py"
    script.write_text(COMMAND, encoding="utf-8")
    options = {
        # Without dropout, whose draws are each process's own.
        "base": write_encoder(tmp_path / "encoder", dropout=0.0),
        "data": inputs / "data" / "train.tsv",
        "dev": inputs / "data" / "dev.tsv",
        "epochs": 2,
        "evaluations": 1,
        "learning-rate": 1e-3,
        "precision": "fp32",
        "threads": 1,
    }
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    many = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    made = {}
    for name, start in (("one", [sys.executable]), ("two", many)):
        done = subprocess.run(
            [*start, str(script), "classifier", *words, "--out", name],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        made[name] = done.stdout, done.stderr
    assert "2 processes" in made["two"][1]
    assert made["two"][0].count("torch-fp32: dev") == 1
    manifests = {name: ModelDirectory.open(tmp_path / name).manifest for name in made}
    assert manifests["one"].labels == manifests["two"].labels == ("LABEL_0", "LABEL_1")
    one, two = (
        (tmp_path / "build" / f"train-{name}" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        for name in made
    )
    for alone, shared in zip(map(json.loads, one), map(json.loads, two), strict=True):
        assert shared["step"] == alone["step"]
        assert shared["loss"] == pytest.approx(alone["loss"], rel=1e-3)
