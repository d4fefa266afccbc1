"""`mlapi serve | predict | model … | train …`: one command for everything that is done with the service.

What a command needs is imported inside it, so that `--help` answers at once and no command needs what only
another one uses.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import mlapi
from mlapi.errors import ConfigurationError, MlapiError
from mlapi.training.cli import train_app

EXIT_FAILURE = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="mlapi",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    rich_markup_mode=None,
)
model_app = typer.Typer(help="Look at and check model directories.", no_args_is_help=True)
app.add_typer(model_app, name="model")
app.add_typer(train_app, name="train")

ModelOption = Annotated[Path | None, typer.Option(help="Model directory [default: models/starter].")]
VariantOption = Annotated[str | None, typer.Option(help="Variant of the model, or auto [default: auto].")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads per call [default: all].")]


def main() -> None:
    """Run the command line; the errors that this package raises on purpose become one line.

    Ctrl-C, and a reader of our output who has seen enough, are dealt with by Typer.
    """
    try:
        app(standalone_mode=True)
    except MlapiError as error:
        _die(str(error))
    except OSError as error:
        _die(f"{error.filename or 'the output cannot be written'}: {error.strerror or error}")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mlapi {mlapi.__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit."),
    ] = False,
) -> None:
    """Serve, try and train sentiment classifiers.

    Every setting has an environment variable with the prefix MLAPI_; the README lists them.
    """


@app.command()
def serve(
    *,
    model: ModelOption = None,
    variant: VariantOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 for a free one [default: 8000].")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="Path of all routes [default: /project].")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Server processes [default: 1].")] = None,
    threads: ThreadsOption = None,
    fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the HTTP service.

    Flags win over environment variables. The rest of the settings (cache, limits, timeouts, logs) come from
    the environment: MLAPI_REDIS_URL, MLAPI_MAX_BATCH_TOKENS, … as listed in the README.
    """
    flags = {
        "model": model,
        "variant": variant,
        "host": host,
        "port": port,
        "prefix": prefix,
        "workers": workers,
        "threads": threads,
    }
    from mlapi import log
    from mlapi.settings import unknown_variables

    settings = _settings(**flags)
    log.configure(level=settings.log_level, log_format=settings.log_format)
    for name in unknown_variables():
        logging.getLogger(__name__).warning("%s is no setting of this service; is it misspelt?", name)
    from mlapi.serve import serve as run_service

    raise typer.Exit(run_service(settings, fd=fd))


@app.command()
def predict(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to classify.", show_default=False)] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="File of texts, one a line; - is standard input.")
    ] = None,
    model: ModelOption = None,
    variant: VariantOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Classify texts without a server: one JSON object a line, in the order of the texts.

    Without texts and without --file, standard input is read. An empty line is a text, too.
    """
    if texts and file:
        _die("give texts or --file, not both", status=EXIT_USAGE)
    from mlapi.offline import predict_lines, predict_texts

    settings = _settings(model=model, variant=variant, threads=threads)
    if texts:
        predict_texts(settings, texts)
    else:
        predict_lines(settings, file or Path("-"))


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

    if not verify_model(_settings(model=directory, threads=threads)):
        raise typer.Exit(EXIT_FAILURE)


def _settings(**flags: Any) -> Any:
    """Read the settings from the environment, with the flags that were given on top.

    Raises:
        ConfigurationError: A value that does not fit; names the variable.
    """
    from pydantic import ValidationError

    from mlapi.settings import Settings

    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = "_".join(str(part) for part in first["loc"]).upper()
        name = place if place.startswith("MLAPI_") or not place else f"MLAPI_{place}"
        flag = (
            f" (--{name.removeprefix('MLAPI_').lower()})" if first["loc"] and first["loc"][0] in given else ""
        )
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name or 'settings'}{flag}: {message}") from None


def _die(message: str, *, status: int = EXIT_FAILURE) -> None:
    typer.echo(f"mlapi: {message}", err=True)
    sys.exit(status)
