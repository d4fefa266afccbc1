"""`mlapi train classifier`."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlapi.errors import ConfigurationError, HubError, ModelError
from mlapi.training.classes import FEWEST
from mlapi.training.commands import SeedOption, changed, recorded_command, report, user_errors
from mlapi.training.recipe import Precision, Schedule

if TYPE_CHECKING:
    from rich.console import Console

    from mlapi.training.machine import Machine

NEEDED = ("torch", "transformers", "safetensors", "tokenizers", "matplotlib")
DEFAULTS = Schedule()


class AnyPrecision(StrEnum):
    """What `--precision` takes where training may run on a GPU."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


ASKED: dict[AnyPrecision, Precision | None] = {
    AnyPrecision.AUTO: None,
    AnyPrecision.FP32: "fp32",
    AnyPrecision.BF16: "bf16",
    AnyPrecision.FP16: "fp16",
}


def classifier(
    *,
    base: Annotated[
        str,
        typer.Option(
            metavar="DIR|HUB_ID[@REVISION]",
            help="What to start from: a folder that transformers saved, a model directory, or a model of "
            "a hub, such as distilbert/distilbert-base-uncased-finetuned-sst-2-english.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Texts to learn from: the header sentence<TAB>label, then one text with its label a line. "
            "Labels are names, or ids from 0; two or more of them.",
            show_default=False,
        ),
    ],
    dev: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Other texts in the same form: what is best on these is kept. A few hundred will do.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Model directory to make or to replace.", show_default=False)
    ],
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for checkpoint, metrics.jsonl and learning-curve.png [default: build/train-NAME, "
            "for an --out that ends in NAME].",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Label names by label id, with commas between them, where the files have ids "
            "[default: the base's names if it has as many, LABEL_0, LABEL_1, … otherwise].",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the texts.")] = DEFAULTS.epochs,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Texts a step, over all processes together.")
    ] = DEFAULTS.batch_size,
    learning_rate: Annotated[
        float,
        typer.Option(
            help="Peak of the learning rate: 1e-5 to 5e-5 for large models, up to 1e-4 for small ones."
        ),
    ] = DEFAULTS.learning_rate,
    warmup: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the steps over which the learning rate rises.")
    ] = DEFAULTS.warmup,
    weight_decay: Annotated[
        float, typer.Option(min=0, help="AdamW's decay, on matrices.")
    ] = DEFAULTS.weight_decay,
    max_length: Annotated[
        int | None,
        typer.Option(min=8, help="Tokens after which texts are cut [default: as many as the model takes]."),
    ] = None,
    evaluations: Annotated[
        int, typer.Option(min=1, help="Evaluations on dev in each epoch.")
    ] = DEFAULTS.evaluations,
    patience: Annotated[
        int, typer.Option(min=1, help="Evaluations without a better accuracy on dev after which it stops.")
    ] = DEFAULTS.patience,
    checkpoint_steps: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints.")
    ] = DEFAULTS.checkpoint_steps,
    precision: Annotated[
        AnyPrecision,
        typer.Option(help="Of the matrix products; auto takes the fastest that the hardware has."),
    ] = AnyPrecision.AUTO,
    seed: SeedOption = DEFAULTS.seed,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of a process [default: its share of the CPUs].")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take a hub's model from the client's cache alone.")
    ] = False,
) -> None:
    """Fine-tune an encoder or a classifier on your own texts, for mlapi model export and mlapi serve.

    Keeps what is best on --dev, and stops early when that no longer improves. The head, which tells the
    labels apart, is kept where the base has the same labels, and new otherwise.

    On a GPU or without; on several, start it with accelerate:
    accelerate launch --num_processes 4 -m mlapi train classifier …

    Stop it whenever you like, with Ctrl-C or harder: the same command goes on from its last checkpoint in
    --work and ends with the same weights.
    """
    with user_errors("classifier", NEEDED):
        from rich.console import Console

        from mlapi.models.atomic import check_replaceable
        from mlapi.training.base import open_base
        from mlapi.training.classes import choose_labels, read_classes
        from mlapi.training.classifier import Lesson, train_classifier
        from mlapi.training.machine import choose_machine
        from mlapi.training.progress import TrainingProgress

        listed = _listed(labels)
        check_replaceable(out)
        machine = choose_machine(ASKED[precision], threads=threads)
        console = Console(stderr=True, quiet=machine.rank > 0)
        folder = work or Path("build") / f"train-{out.resolve().name}"
        start = open_base(_base_directory(base, folder, machine, console, offline=offline))
        names = listed or choose_labels(data, base=start.labels)
        lesson = Lesson(read_classes(data, names), read_classes(dev, names), names, max_length)
        settings = {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "warmup": warmup,
            "weight_decay": weight_decay,
            "evaluations": evaluations,
            "patience": patience,
        }
        given = {
            "base": base if not Path(base).is_dir() else Path(base),
            "data": data,
            "dev": dev,
            **changed(classifier, {"labels": labels, "max_length": max_length, **settings}),
            "precision": machine.precision,
            "seed": seed,
        }
        with TrainingProgress(console) as progress:
            manifest = train_classifier(
                start,
                lesson,
                out,
                work=folder,
                schedule=Schedule.model_validate(
                    {**settings, "checkpoint_steps": checkpoint_steps, "seed": seed}
                ),
                machine=machine,
                command=recorded_command("classifier", given),
                progress=progress,
            )
        machine.close()
        if manifest is not None:
            report(out, manifest)


def _base_directory(base: str, work: Path, machine: Machine, console: Console, *, offline: bool) -> Path:
    """Return the folder that `--base` names, or pull the hub's model that it names into the work folder.

    A run that goes on takes what it pulled when it began, whatever the branch has become since.
    """
    if Path(base).is_dir():
        return Path(base)
    from mlapi.models.hub import pull, split_reference
    from mlapi.models.progress import DownloadProgress
    from mlapi.models.source import read_source
    from mlapi.training.base import check_base

    repository, revision = split_reference(base)
    if "/" not in repository or Path(base).exists():
        raise ModelError(f"there is no folder {base}; --base takes a folder, or a hub's model as OWNER/NAME")
    # A folder for each way to ask, since a branch's name does not tell which commit it stood for.
    directory = work / f"base-{hashlib.sha256(base.encode()).hexdigest()[:12]}"
    if machine.rank == 0 and read_source(directory) is None:
        try:
            with DownloadProgress(console) as progress:
                pull(repository, revision, directory, progress=progress, offline=offline, check=check_base)
        except HubError as error:  # it may be a path with a slip in it
            raise HubError(f"{error} (there is no folder {base} either)") from None
    machine.wait()
    return directory


def _listed(labels: str | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    names = tuple(label.strip() for label in labels.split(","))
    if "" in names or len(set(names)) < max(len(names), FEWEST):
        raise ConfigurationError(f"--labels: {labels!r} does not name two or more different labels")
    return names
