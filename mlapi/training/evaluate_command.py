"""`mlapi model evaluate`: runs the variants, shows how far it is, and puts the outcome where it is wanted."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mlapi.errors import ConfigurationError
from mlapi.models.atomic import write_atomically
from mlapi.models.manifest import read_manifest
from mlapi.training.data import DataError
from mlapi.training.directory import record_measurements
from mlapi.training.evaluate import evaluate, measurements
from mlapi.training.evaluation_report import as_json, heading, notes, table
from mlapi.training.labelled import read_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlapi.training.evaluate import Report

STDOUT = Path("-")
WIDTH = 100
"""Columns where the output is no terminal."""


def run_evaluation(
    directory: Path,
    data: Path,
    *,
    variants: Sequence[str],
    threads: int,
    json_out: Path | None = None,
    pictures: Path | None = None,
    record: bool = False,
) -> bool:
    """Evaluate variants and print the table, or with `json_out` `-` the JSON alone.

    Args:
        directory: The model directory.
        data: The file of texts.
        variants: See `mlapi.training.evaluate.evaluate`.
        threads: CPU threads of an engine call.
        json_out: A file for the JSON; `-` is standard output.
        pictures: A folder for the pictures; made if absent.
        record: Whether to write the accuracies into the manifest.

    Returns:
        Whether every variant that can be run here gives its recorded answers.

    Raises:
        ConfigurationError: Something cannot be written, or drawn for want of matplotlib.
        DataError: The data cannot be read, or holds no label where labels are needed.
        ModelError: See `evaluate`.
    """
    texts = read_texts(data, read_manifest(directory).labels)
    if not texts.labelled and (record or pictures is not None):
        raise DataError(f"{data} has no labels: leave out {'--record' if record else '--pictures'}")
    if pictures is not None:
        _prepare(pictures)
    if json_out not in {None, STDOUT} and not json_out.absolute().parent.is_dir():
        raise ConfigurationError(
            f"there is no folder {json_out.parent} for {json_out.name}: name another --json"
        )
    with _bars() as progress:

        def watch(variant: str, total: int) -> Callable[[int], object]:
            task = progress.add_task(variant, total=total)
            return lambda done: progress.advance(task, done)

        report = evaluate(directory, texts, variants=variants, threads=threads, watch=watch)
    encoded = json.dumps(as_json(report), indent=2, ensure_ascii=False)
    if json_out == STDOUT:
        typer.echo(encoded)
    else:
        _print(report)
    if json_out not in {None, STDOUT}:
        write_atomically(json_out, f"{encoded}\n".encode())
    if pictures is not None:
        _draw(report, pictures)
    if record:
        record_measurements(directory, measurements(report))
    return not report.failed


def _print(report: Report) -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    shown = table(report)
    typer.echo(heading(report))
    typer.echo()
    console.print(shown, width=max(console.width, WIDTH) if not console.is_terminal else None)
    typer.echo()
    for line in notes(report):
        typer.echo(line)


def _bars() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("texts"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _prepare(pictures: Path) -> None:
    if find_spec("matplotlib") is None:
        raise ConfigurationError(
            "--pictures needs matplotlib: run make venv-torch, then .venv-torch/bin/mlapi model evaluate; or "
            "leave it out"
        )
    try:
        pictures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{pictures} cannot be made: {error.strerror}; name another --pictures"
        ) from None


def _draw(report: Report, folder: Path) -> None:
    from mlapi.training.pictures import draw_confusion, draw_reliability

    for each in report.evaluations:
        if each.quality is None:
            continue
        title = f"{report.manifest.name}, {each.variant}, on {report.texts.name}"
        draw_reliability(each.quality, folder / f"{each.variant}-reliability.png", title=title)
        draw_confusion(
            each.quality, report.manifest.labels, folder / f"{each.variant}-confusion.png", title=title
        )
        typer.echo(f"drawn: {folder / each.variant}-reliability.png, -confusion.png", err=True)
