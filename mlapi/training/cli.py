"""`mlapi train starter | lab | classifier`: the two models that the repository carries, and one's own.

torch, transformers and scikit-learn are imported inside the commands: `--help` works without them.
"""

from __future__ import annotations

import typer

from mlapi.training.classifier_command import classifier
from mlapi.training.lab_command import lab
from mlapi.training.starter_command import starter

train_app = typer.Typer(
    help="Train the two small models that the repository carries, or a classifier on your own texts. Needs "
    "the environment of make venv-torch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
train_app.command()(starter)
train_app.command()(lab)
train_app.command()(classifier)
