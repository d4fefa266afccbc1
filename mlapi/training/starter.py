"""Training the starter: an encoder is fine-tuned, cut down, and the small model taught by the large one."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from mlapi.models.atomic import check_replaceable
from mlapi.models.manifest import Manifest, Training
from mlapi.training.checkpoint import Checkpoints, fingerprint
from mlapi.training.curve import draw_curves
from mlapi.training.data import ID2LABEL
from mlapi.training.directory import record_measurements
from mlapi.training.distil import TaughtTexts
from mlapi.training.evaluate import measure_variant
from mlapi.training.exporter import export_directory
from mlapi.training.finished import finished_model
from mlapi.training.loop import Run
from mlapi.training.machine import PlainMachine
from mlapi.training.prune import pruned
from mlapi.training.quiet import quiet
from mlapi.training.task import LabelledTexts
from mlapi.training.vocabulary import cut_vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer

    from mlapi.training.data import Dataset, Splits
    from mlapi.training.encoder import Encoder
    from mlapi.training.progress import TrainingProgress
    from mlapi.training.recipe import Recipe

TEACHER, STUDENT = "teacher", "student"
VARIANTS = ("torch-fp32", "onnx-int8", "openvino-int8")
"""What fits into a repository: weights in half precision, and one int8 graph that two engines run."""

SAMPLE = 2000
"""Training texts on which it is measured which neurons matter."""


def train_starter(
    splits: Splits,
    out: Path,
    *,
    work: Path,
    recipe: Recipe,
    encoder: Encoder,
    command: str,
    progress: TrainingProgress,
    curve: Path | None = None,
    variants: Sequence[str] = VARIANTS,
) -> Manifest:
    """Train, keep what was best on dev, and write it as a model directory with its measurements.

    Killed at any moment and called again with the same arguments, it goes on from the last checkpoint of the
    stage that it was in, and gives the same weights as if it had not been killed. The test split is measured
    once, at the end.

    Args:
        splits: The data.
        out: The directory to make; one that was there is replaced when the new one is whole.
        work: Where each stage keeps its checkpoint and its metrics, in a folder of its own.
        recipe: How to train.
        encoder: Where the weights begin.
        command: What the manifest says the model was made by.
        progress: Is told how far the run is.
        curve: Where to draw the learning curves, or None.
        variants: What the directory is to hold, as `mlapi model export` names them. One that does not pass
            its proofs is left out, and said.

    Returns:
        The manifest, as written.

    Raises:
        ConfigurationError: `out` or `work` is not fit to be written, or holds another run; or the encoder
            does not fit the recipe.
        ModelError: The ONNX graph does not give torch's logits, or no variant passed.
    """
    check_replaceable(out)
    torch.set_num_threads(recipe.threads)
    training = Training(
        command=command,
        seed=recipe.seed,
        data=splits.digests,
        base_model=encoder.name,
        base_revision=encoder.digests["model.safetensors"],
    )
    stages = _Stages(splits, work, recipe, encoder, progress)
    teacher = stages.teacher()
    teacher.train(progress)
    student, tokenizer = stages.student(teacher.best_model())
    if student.standing.finished and (manifest := finished_model(out, training, measured="test")) is not None:
        progress.say(f"this run is finished already: {out} holds its model; delete {work} to train anew")
        return manifest
    student.train(progress)
    if curve is not None:
        draw_curves({TEACHER: teacher.standing.history, STUDENT: student.standing.history}, curve)
    exported = export_directory(
        student.best_model(),
        tokenizer,
        out,
        name=out.name,
        variants=variants,
        weights="fp16",
        training=training,
        threads=recipe.threads,
        watcher=progress,
    )
    datasets = [splits.dev, splits.test]
    with quiet():
        measured = {
            name: {
                **variant.measured,
                **measure_variant(out, name, datasets, threads=recipe.threads),
            }
            for name, variant in exported.manifest.variants.items()
        }
    return record_measurements(out, measured)


class _Stages:
    """The two runs of the recipe, each with a fingerprint of all that decides its weights."""

    def __init__(
        self, splits: Splits, work: Path, recipe: Recipe, encoder: Encoder, progress: TrainingProgress
    ) -> None:
        self._work, self._recipe, self._encoder, self._progress = work, recipe, encoder, progress
        self._train = dataclasses.replace(splits.train, texts=with_contractions(splits.train))
        self._dev = splits.dev
        self._machine = PlainMachine("cpu", precision=recipe.precision)
        self._reads_all = encoder.tokenizer()

    def teacher(self) -> Run:
        """Return the fine-tuning of the whole encoder, going on where its checkpoint stands."""
        recipe = self._recipe
        torch.manual_seed(recipe.seed)
        model = self._encoder.classifier(ID2LABEL)
        read = _reader(self._reads_all, recipe.positions)
        task = LabelledTexts(
            read(self._train.texts),
            self._train.labels,
            dev_texts=read(self._dev.texts),
            dev_labels=self._dev.labels,
        )
        return self._run(TEACHER, model, task, {})

    def student(self, teacher: Any) -> tuple[Run, Tokenizer]:
        """Return the teaching of the small model, going on where its checkpoint stands, and its tokenizer."""
        recipe = self._recipe
        tokenizer, pieces = cut_vocabulary(self._reads_all, self._train.texts, size=recipe.vocabulary)
        teacher_reads = _reader(self._reads_all, recipe.positions)
        model = pruned(
            teacher,
            layers=recipe.layers,
            pieces=pieces,
            hidden_dim=recipe.hidden_dim,
            sample=teacher_reads(self._train.texts[:: max(1, len(self._train.texts) // SAMPLE)]),
        )
        task = TaughtTexts(
            teacher,
            recipe.distillation,
            train=self._train,
            dev=self._dev,
            teacher_reads=teacher_reads,
            student_reads=_reader(tokenizer, recipe.positions),
            seed=recipe.seed,
        )
        shape = recipe.model_dump(include={"layers", "vocabulary", "hidden_dim", "distillation"})
        return self._run(STUDENT, model, task, {"teacher": recipe.teacher.deciding(), **shape}), tokenizer

    def _run(self, stage: str, model: Any, task: Any, more: dict[str, Any]) -> Run:
        recipe = self._recipe
        schedule = getattr(recipe, stage).model_copy(update={"seed": recipe.seed})
        run = fingerprint(
            {
                "stage": stage,
                "schedule": schedule.deciding(),
                "recipe": recipe.model_dump(include={"seed", "positions", "precision", "threads"}),
                "encoder": self._encoder.digests,
                "train": self._train.sha256,
                "dev": self._dev.sha256,
                "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
                **more,
            }
        )
        started = Run(model, task, schedule, Checkpoints(self._work / stage, run), self._machine)
        self._progress.stage(stage)
        if started.standing.step and not started.standing.finished:
            self._progress.say(f"{stage}: going on from step {started.standing.step} of {started.steps}")
        return started


def with_contractions(dataset: Dataset) -> tuple[str, ...]:
    """Write every second text the way people do: the data has `does n't` where they write `doesn't`."""
    return tuple(text.replace(" n't", "n't") if row % 2 else text for row, text in enumerate(dataset.texts))


def _reader(tokenizer: Tokenizer, positions: int) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return a function from texts to token ids, cut to `positions`."""
    cut = type(tokenizer).from_str(tokenizer.to_str())
    cut.enable_truncation(positions)
    return lambda texts: [encoding.ids for encoding in cut.encode_batch_fast(list(texts))]
