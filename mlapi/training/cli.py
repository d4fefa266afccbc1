"""`mlapi train starter | lab`: making the two models that the repository carries.

torch, transformers and scikit-learn are imported inside the commands: `--help` works without them.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlapi.errors import ConfigurationError, MlapiError
from mlapi.training.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlapi.models.manifest import Manifest

NEEDED = {
    "starter": ("torch", "transformers", "safetensors", "tokenizers", "matplotlib", "onnx", "onnxscript"),
    "lab": ("sklearn",),
}
DEFAULTS = Recipe()
EXIT_FAILURE, EXIT_INTERRUPTED = 1, 130

train_app = typer.Typer(
    help="Train the two small models that the repository carries. Needs the environment of make venv-torch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder with train.tsv, dev.tsv and test.tsv: the header sentence<TAB>label, then one text with "
        "its label, 0 (negative) or 1 (positive), a line.",
        show_default=False,
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed and same data give the same model.")]


@train_app.command()
def starter(
    *,
    data: DataOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Model directory to make or to replace.")] = Path(
        "models/starter"
    ),
    work: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the checkpoint.")] = Path(
        "build/train-starter"
    ),
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Lab model whose probabilities are learnt beside the labels, such as models/lab.",
        ),
    ] = None,
    curve: Annotated[Path, typer.Option(metavar="FILE", help="Where to draw the learning curve.")] = Path(
        "docs/images/starter-learning-curve.png"
    ),
    seed: SeedOption = DEFAULTS.seed,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training texts.")] = DEFAULTS.epochs,
    patience: Annotated[
        int, typer.Option(min=1, help="Evaluations without a better accuracy on dev after which it stops.")
    ] = DEFAULTS.patience,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts a step.")] = DEFAULTS.batch_size,
    learning_rate: Annotated[float, typer.Option(help="Peak of the learning rate.")] = DEFAULTS.learning_rate,
    vocabulary: Annotated[int, typer.Option(min=100, help="Most word pieces.")] = DEFAULTS.vocabulary,
    dim: Annotated[int, typer.Option(min=4, help="Width of the layers.")] = DEFAULTS.dim,
    layers: Annotated[int, typer.Option(min=1, help="Transformer layers.")] = DEFAULTS.layers,
    heads: Annotated[int, typer.Option(min=1, help="Attention heads; they divide --dim.")] = DEFAULTS.heads,
    hidden_dim: Annotated[int, typer.Option(min=4, help="Feed-forward width.")] = DEFAULTS.hidden_dim,
    checkpoint_steps: Annotated[
        int, typer.Option(min=1, help="Steps between checkpoints.")
    ] = DEFAULTS.checkpoint_steps,
    threads: Annotated[
        int, typer.Option(min=1, help="CPU threads. Another number gives other last digits.")
    ] = DEFAULTS.threads,
) -> None:
    """Train a small DistilBERT classifier from scratch and export it to ONNX.

    Learns a WordPiece vocabulary and the network on train.tsv, keeps what is best on dev.tsv, and counts the
    accuracy on test.tsv once, at the end. Takes a few minutes.

    Stop it whenever you like, with Ctrl-C or harder: the same command goes on from its last checkpoint in
    --work and ends with the same weights.
    """
    with _user_errors("starter"):
        from mlapi.training.data import read_splits

        if dim % heads:
            raise ConfigurationError(f"--heads {heads} does not divide --dim {dim}")
        splits = read_splits(data)

        from rich.console import Console

        from mlapi.training.progress import TrainingProgress
        from mlapi.training.starter import train_starter

        settings = {
            "seed": seed,
            "epochs": epochs,
            "patience": patience,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "vocabulary": vocabulary,
            "dim": dim,
            "layers": layers,
            "heads": heads,
            "hidden_dim": hidden_dim,
        }
        changed = {name: value for name, value in settings.items() if value != getattr(DEFAULTS, name)}
        options = {"data": data, "teacher": teacher, **changed, "seed": seed}
        with TrainingProgress(Console(stderr=True)) as progress:
            manifest = train_starter(
                splits,
                out,
                work=work,
                recipe=Recipe.model_validate(
                    {**settings, "threads": threads, "checkpoint_steps": checkpoint_steps}
                ),
                command=recorded_command("starter", options),
                progress=progress,
                teacher=teacher,
                curve=curve,
            )
        _report(out, manifest)


@train_app.command()
def lab(
    *,
    data: DataOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Model directory to make or to replace.")] = Path(
        "models/lab"
    ),
    seed: SeedOption = 0,
) -> None:
    """Train TF-IDF with logistic regression, in plain arrays that the service reads without scikit-learn.

    Fits a dozen settings on train.tsv, keeps the best on dev.tsv, and counts the accuracy on test.tsv once,
    at the end. About a minute on two cores.
    """
    with _user_errors("lab"):
        from mlapi.training.data import read_splits

        splits = read_splits(data)

        from mlapi.training.lab import train_lab

        manifest = train_lab(
            splits,
            out,
            seed=seed,
            command=recorded_command("lab", {"data": data, "seed": seed}),
            say=lambda line: typer.echo(line, err=True),
        )
        _report(out, manifest)


def recorded_command(name: str, options: Mapping[str, Any]) -> str:
    """Return the command line for the manifest.

    Args:
        name: The command's name.
        options: Options by their Python names; those that are None are left out. Paths that lead out of the
            current folder are shortened to their last part, so that a manifest names no one's home.
    """
    words = ["mlapi", "train", name]
    for option, value in options.items():
        if value is None:
            continue
        if isinstance(value, Path) and (value.is_absolute() or ".." in value.parts):
            value = value.resolve().name  # noqa: PLW2901 - the one case in which the value is not printed as it is
        words += [f"--{option.replace('_', '-')}", str(value)]
    return " ".join(words)


@contextmanager
def _user_errors(command: str) -> Iterator[None]:
    """Turn what the user can mend into one line on standard error and status 1."""
    missing = [name for name in NEEDED[command] if find_spec(name) is None]
    if missing:
        _fail(
            f"mlapi train {command} needs {', '.join(missing)}: run make venv-torch, then "
            f".venv-torch/bin/mlapi train {command}"
        )
    try:
        yield
    except MlapiError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        typer.echo("mlapi: stopped; the same command goes on from the last checkpoint", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def _fail(message: str) -> None:
    typer.echo(f"mlapi: {message}", err=True)
    raise typer.Exit(EXIT_FAILURE)


def _report(out: Path, manifest: Manifest) -> None:
    typer.echo(f"{out}: {manifest.name}, version {manifest.version}")
    for name, variant in manifest.variants.items():
        scores = ", ".join(f"{split} {counted.accuracy:.2%}" for split, counted in variant.measured.items())
        typer.echo(f"  {name}: {scores}")
