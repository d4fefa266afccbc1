"""Training the starter model: a small DistilBERT classifier from scratch, ending as a model directory."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from mlapi.engines.activation import activate
from mlapi.engines.lab import LabEngine
from mlapi.errors import ModelError
from mlapi.models.directory import ModelDirectory
from mlapi.models.manifest import Manifest, Training
from mlapi.training.atomic import check_replaceable
from mlapi.training.checkpoint import Checkpoints, fingerprint
from mlapi.training.curve import draw_curve
from mlapi.training.data import ID2LABEL
from mlapi.training.directory import record_measurements, write_transformers_directory
from mlapi.training.evaluate import measure_variant
from mlapi.training.loop import Material, Run
from mlapi.training.quiet import quiet
from mlapi.training.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

    from mlapi.training.data import Dataset, Splits
    from mlapi.training.progress import TrainingProgress
    from mlapi.training.recipe import Recipe

VARIANTS = ("torch-fp32", "onnx-fp32")


def train_starter(
    splits: Splits,
    out: Path,
    *,
    work: Path,
    recipe: Recipe,
    command: str,
    progress: TrainingProgress,
    teacher: Path | None = None,
    curve: Path | None = None,
) -> Manifest:
    """Train, keep what was best on dev, and write it as a model directory with its measurements.

    Killed at any moment and called again with the same arguments, it goes on from its last checkpoint and
    gives the same weights as if it had not been killed. The test split is measured once, at the end.

    Args:
        splits: The data.
        out: The directory to make; one that was there is replaced when the new one is whole.
        work: Where checkpoints are kept.
        recipe: How to train.
        command: What the manifest says the model was made by.
        progress: Is told how far the run is.
        teacher: A lab model's directory, whose probabilities for the training texts are learnt beside the
            labels (Hinton et al. 2015); None learns the labels alone.
        curve: Where to draw the learning curve, or None.

    Returns:
        The manifest, as written.

    Raises:
        ConfigurationError: `out` or `work` is not fit to be written, or holds another run.
        ModelError: The teacher cannot be loaded, or the ONNX graph does not give torch's logits.
    """
    check_replaceable(out)
    training = Training(command=command, seed=recipe.seed, data=splits.digests)
    tokenizer = train_tokenizer(list(_with_contractions(splits.train)), size=recipe.vocabulary)
    run = Run(
        _material(splits, tokenizer, recipe, teacher=teacher),
        recipe,
        Checkpoints(work, _fingerprint(splits, recipe, teacher=teacher)),
    )
    if run.standing.finished and (manifest := _finished(out, training)) is not None:
        progress.say(f"this run is finished already: {out} holds its model; delete {work} to train anew")
        return manifest
    if run.standing.step:
        progress.say(f"going on from step {run.standing.step} of {run.steps}")
    run.train(progress)
    write_transformers_directory(run.best_model(), tokenizer, out, name=out.name, training=training)
    if curve is not None:
        draw_curve(run.standing.history, curve)
    datasets = [splits.dev, splits.test]
    with quiet():
        measured = {name: measure_variant(out, name, datasets, threads=recipe.threads) for name in VARIANTS}
    return record_measurements(out, measured)


def _with_contractions(dataset: Dataset) -> tuple[str, ...]:
    """Write every second text the way people do: the data has `does n't` where they write `doesn't`."""
    return tuple(text.replace(" n't", "n't") if row % 2 else text for row, text in enumerate(dataset.texts))


def _material(splits: Splits, tokenizer: Tokenizer, recipe: Recipe, *, teacher: Path | None) -> Material:
    labels = torch.tensor(splits.train.labels)
    targets = torch.nn.functional.one_hot(labels, len(ID2LABEL)).float()
    if teacher is not None:
        logits = LabEngine.load(teacher).infer_texts(splits.train.texts)
        taught = torch.from_numpy(activate(logits, "softmax"))
        targets = recipe.teacher_weight * taught + (1 - recipe.teacher_weight) * targets
    cut = type(tokenizer).from_str(tokenizer.to_str())
    cut.enable_truncation(recipe.positions)
    return Material(
        texts=[encoding.ids for encoding in cut.encode_batch(_with_contractions(splits.train))],
        targets=targets,
        dev_texts=[encoding.ids for encoding in cut.encode_batch(splits.dev.texts)],
        dev_labels=splits.dev.labels,
        vocabulary=tokenizer.get_vocab_size(),
    )


def _fingerprint(splits: Splits, recipe: Recipe, *, teacher: Path | None) -> str:
    return fingerprint(
        {
            "recipe": recipe.model_dump(exclude={"checkpoint_steps"}),
            "train": splits.train.sha256,
            "dev": splits.dev.sha256,
            "teacher": None if teacher is None else ModelDirectory.open(teacher).manifest.version,
            "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        }
    )


def _finished(out: Path, training: Training) -> Manifest | None:
    """Return the manifest of the model that this very run wrote, if it is whole and measured."""
    try:
        directory = ModelDirectory.open(out)
        directory.verify(directory.manifest.files)
    except ModelError:
        return None
    measured = all("test" in variant.measured for variant in directory.manifest.variants.values())
    return directory.manifest if measured and directory.manifest.training == training else None
