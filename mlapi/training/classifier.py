"""`mlapi train classifier`: fine-tuning any supported encoder or classifier on one's own texts."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from mlapi.models.atomic import check_replaceable, fresh_directory
from mlapi.models.manifest import Manifest, Training, write_manifest
from mlapi.training.base import build_classifier
from mlapi.training.checkpoint import Checkpoints, fingerprint
from mlapi.training.curve import draw_curves
from mlapi.training.directory import (
    record_measurements,
    transformers_manifest,
    write_base_files,
)
from mlapi.training.evaluate import measure_variant
from mlapi.training.export import longest_sequence
from mlapi.training.finished import finished_model
from mlapi.training.golden import GOLDEN_TEXTS, torch_golden
from mlapi.training.incoming import as_name, read_tokenizer
from mlapi.training.loop import Run
from mlapi.training.quiet import quiet
from mlapi.training.task import LabelledTexts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from mlapi.training.base import Base
    from mlapi.training.data import Dataset
    from mlapi.training.machine import Machine
    from mlapi.training.progress import TrainingProgress
    from mlapi.training.recipe import Schedule

VARIANT = "torch-fp32"
CURVE = "learning-curve.png"


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learnt.

    Attributes:
        train: Texts that are learnt from.
        dev: Texts that decide what is kept.
        labels: Label names by label id.
        max_length: Tokens after which texts are cut; None takes the most that the model holds.
    """

    train: Dataset
    dev: Dataset
    labels: tuple[str, ...]
    max_length: int | None = None

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each file, by name; by what it is for where both have one name."""
        if self.train.name == self.dev.name:
            return {"train": self.train.sha256, "dev": self.dev.sha256}
        return {self.train.name: self.train.sha256, self.dev.name: self.dev.sha256}


def train_classifier(
    base: Base,
    lesson: Lesson,
    out: Path,
    *,
    work: Path,
    schedule: Schedule,
    machine: Machine,
    command: str,
    progress: TrainingProgress,
) -> Manifest | None:
    """Fine-tune, keep what was best on dev, and write it as a model directory.

    Killed at any moment and called again with the same arguments, it goes on from its last checkpoint and
    gives the same weights as if it had not been killed.

    Args:
        base: What to start from.
        lesson: What to learn.
        out: The directory to make; one that was there is replaced when the new one is whole.
        work: Where checkpoint, metrics and learning curve are kept.
        schedule: How to train.
        machine: What it computes on.
        command: What the manifest says the model was made by.
        progress: Is told how far the run is.

    Returns:
        The manifest, as written; None in all processes but the first.

    Raises:
        ConfigurationError: `out` or `work` is not fit to be written, or holds another run.
        ModelError: The base cannot be loaded.
    """
    check_replaceable(out)
    torch.manual_seed(schedule.seed)
    model = build_classifier(base, lesson.labels)
    tokenizer = read_tokenizer(base.directory)
    longest = min(lesson.max_length or longest_sequence(model), longest_sequence(model))
    run = Run(
        model,
        _task(lesson, tokenizer, longest),
        schedule,
        Checkpoints(work, _fingerprint(base, lesson, schedule, machine, longest)),
        machine,
    )
    training = Training(
        command=command,
        seed=schedule.seed,
        data=lesson.digests,
        base_model=base.name,
        base_revision=base.revision,
    )
    if (
        run.standing.finished
        and (manifest := finished_model(out, training, measured=lesson.dev.name.partition(".")[0]))
        is not None
    ):
        progress.say(f"this run is finished already: {out} holds its model; delete {work} to train anew")
        return manifest if machine.rank == 0 else None
    progress.say(_beginning(base, lesson, machine))
    if run.standing.step:
        progress.say(f"going on from step {run.standing.step} of {run.steps}")
    run.train(progress)
    best = run.best_model()
    if machine.rank:
        return None
    draw_curves({"fine-tuning": run.standing.history}, work / CURVE)
    _write(best.cpu(), tokenizer, out, max_length=longest, training=training)
    with quiet():
        measured = measure_variant(out, VARIANT, [lesson.dev], threads=torch.get_num_threads())
    return record_measurements(out, {VARIANT: measured})


def _task(lesson: Lesson, tokenizer: Tokenizer, longest: int) -> LabelledTexts:
    cut = type(tokenizer).from_str(tokenizer.to_str())
    cut.no_padding()
    cut.enable_truncation(longest)

    def read(texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in cut.encode_batch_fast(list(texts))]

    return LabelledTexts(
        read(lesson.train.texts),
        lesson.train.labels,
        dev_texts=read(lesson.dev.texts),
        dev_labels=lesson.dev.labels,
    )


def _fingerprint(base: Base, lesson: Lesson, schedule: Schedule, machine: Machine, longest: int) -> str:
    settings: dict[str, Any] = {
        "base": base.digests,
        "train": lesson.train.sha256,
        "dev": lesson.dev.sha256,
        "labels": lesson.labels,
        "max_length": longest,
        "schedule": schedule.deciding(),
        "machine": [machine.device.type, machine.precision, machine.processes],
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
    }
    return fingerprint(settings)


def _beginning(base: Base, lesson: Lesson, machine: Machine) -> str:
    if base.labels == lesson.labels:
        head = "its head is kept, since the labels are the same"
    elif base.labels is None:
        head = "it has no head for this, so that is new"
    else:
        head = f"its head told {', '.join(base.labels)} apart, so that is new"
    processes = "1 process" if machine.processes == 1 else f"{machine.processes} processes"
    return (
        f"{base.name}: {head}; labels {', '.join(lesson.labels)}; {len(lesson.train.texts)} texts; "
        f"{machine.device.type}, {machine.precision}, {processes}"
    )


def _write(
    model: PreTrainedModel, tokenizer: Tokenizer, out: Path, *, max_length: int, training: Training
) -> None:
    with fresh_directory(out) as partial:
        write_base_files(model, tokenizer, partial, weights="fp32")
        manifest = transformers_manifest(
            partial,
            name=as_name(out.resolve().name),
            max_length=max_length,
            golden=torch_golden(partial, GOLDEN_TEXTS, max_length=max_length),
            variants=[VARIANT],
            training=training,
        )
        write_manifest(partial, manifest)
