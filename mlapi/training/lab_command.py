"""`mlapi train lab`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlapi.training.commands import SeedOption, SplitsOption, recorded_command, report, user_errors

NEEDED = ("sklearn",)


def lab(
    *,
    data: SplitsOption,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Model directory to make or to replace.")] = Path(
        "models/lab"
    ),
    seed: SeedOption = 0,
) -> None:
    """Train TF-IDF with logistic regression, in plain arrays that the service reads without scikit-learn.

    Fits a dozen settings on train.tsv, keeps the best on dev.tsv, and counts the accuracy on test.tsv once,
    at the end. About a minute on two cores.
    """
    with user_errors("lab", NEEDED):
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
        report(out, manifest)
