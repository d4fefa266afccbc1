"""`mlapi model …`: looking at, checking and making model directories.

What a command needs is imported inside it, as in `mlapi.cli`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlapi.flags import ThreadsOption, settings_from

EXIT_FAILURE = 1

model_app = typer.Typer(help="Look at and check model directories.", no_args_is_help=True)


@model_app.command()
def show(
    directory: Annotated[Path, typer.Argument(help="Model directory.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as it is.")] = False,
) -> None:
    """Say what a model directory holds: labels, variants, accuracy, files, where it came from."""
    from mlapi.models.report import manifest_json, summary

    typer.echo(manifest_json(directory) if as_json else summary(directory))


@model_app.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="Model directory.")],
    *,
    threads: ThreadsOption = None,
) -> None:
    """Check everything: version, digest of every file, labels, and each variant's golden texts.

    Variants whose engine is not installed are named as not checked. Ends with status 1 if anything is wrong.
    """
    from mlapi.offline import verify_model

    if not verify_model(settings_from(model=directory, threads=threads)):
        raise typer.Exit(EXIT_FAILURE)
