"""What the commands of `mlapi train` have in common: options, errors, and what they say at the end."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlapi.errors import MlapiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlapi.models.manifest import Manifest

EXIT_FAILURE, EXIT_INTERRUPTED = 1, 130

SplitsOption = Annotated[
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


def changed(command: Callable[..., None], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options whose value is not the command's default."""
    defaults = {name: parameter.default for name, parameter in signature(command).parameters.items()}
    return {name: value for name, value in given.items() if value != defaults[name]}


@contextmanager
def user_errors(command: str, needed: Sequence[str]) -> Iterator[None]:
    """Turn what the user can mend into one line on standard error and status 1.

    Args:
        command: The command's name.
        needed: Libraries without which it cannot run.
    """
    missing = [name for name in needed if find_spec(name) is None]
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


def report(out: Path, manifest: Manifest) -> None:
    """Print what was made, with what was measured."""
    typer.echo(f"{out}: {manifest.name}, version {manifest.version}")
    for name, variant in manifest.variants.items():
        scores = ", ".join(f"{split} {counted.accuracy:.2%}" for split, counted in variant.measured.items())
        typer.echo(f"  {name}: {scores}")
