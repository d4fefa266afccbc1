"""`mlapi serve | predict | wait … | model … | train …`: one command for all that is done with the service.

What a command needs is imported inside it, so that `--help` answers at once and no command needs what only
another one uses.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

import mlapi
from mlapi.errors import MlapiError
from mlapi.flags import ModelOption, ThreadsOption, VariantOption, settings_from
from mlapi.model_cli import model_app
from mlapi.training.cli import train_app
from mlapi.wait_cli import wait_app

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
app.add_typer(wait_app, name="wait")
app.add_typer(model_app, name="model")
app.add_typer(train_app, name="train")


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
    from mlapi.sigterm import end_on_sigterm

    # Until the server or the supervisor takes the signal over: before that lie seconds of imports.
    end_on_sigterm()
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

    settings = settings_from(**flags)
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

    settings = settings_from(model=model, variant=variant, threads=threads)
    if texts:
        predict_texts(settings, texts)
    else:
        predict_lines(settings, file or Path("-"))


def _die(message: str, *, status: int = EXIT_FAILURE) -> None:
    typer.echo(f"mlapi: {message}", err=True)
    sys.exit(status)
