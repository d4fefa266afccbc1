"""Predictions and checks without a server, for the command line."""

from __future__ import annotations

import codecs
import json
import sys
from functools import partial
from typing import IO, TYPE_CHECKING

import typer

from mlapi.engines.factory import load_classifier
from mlapi.errors import ConfigurationError, EngineError, ModelError, VariantUnavailable
from mlapi.models.directory import ModelDirectory
from mlapi.resources import engine_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mlapi.classifier import Classifier
    from mlapi.settings import Settings
    from mlapi.types import Encoding, Probabilities

WINDOW = 1_024
"""Texts that are read and sorted by length before they are run."""


def predict_texts(settings: Settings, texts: Sequence[str]) -> None:
    """Print one JSON line per text.

    Raises:
        ConfigurationError: A text is not UTF-8; names it by its position.
    """
    for number, text in enumerate(texts, start=1):
        # What is not UTF-8 on the command line reaches us as lone surrogates, which no tokenizer takes.
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ConfigurationError(f"text {number} is not UTF-8")
    classifier = _load(settings)
    for line in _answers(classifier, texts, settings):
        typer.echo(line)


def predict_lines(settings: Settings, path: Path) -> None:
    """Print one JSON line per line of a file, or of standard input where `path` is `-`.

    Raises:
        ConfigurationError: The file cannot be read, or a line is not UTF-8; names the line.
    """
    classifier = _load(settings)
    if str(path) == "-":
        if sys.stdin.isatty():
            typer.echo("reading standard input, one text a line; Ctrl-D ends", err=True)
        _predict_stream(settings, classifier, sys.stdin.buffer, total=None)
        return
    try:
        total = path.stat().st_size
        stream = path.open("rb")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    with stream:
        _predict_stream(settings, classifier, stream, total=total)


def verify_model(settings: Settings) -> bool:
    """Check every file and variant of a directory, print a line for each, and tell whether all is well."""
    directory = ModelDirectory.open(settings.model)
    typer.echo(f"ok    manifest: {directory.manifest.name} {directory.manifest.version}")
    good = True
    for name in directory.manifest.files:
        good &= _check(f"file {name}", partial(directory.verify, [name]))
    good &= _check("labels in config.json", directory.verify_labels)
    if not good:
        return False
    for name in directory.manifest.variants:
        try:
            threads = engine_threads(settings.threads)
            load_classifier(
                settings.model, variant=name, threads=threads, compiled_cache=settings.compiled_cache
            ).close()
        except VariantUnavailable as error:
            typer.echo(f"--    variant {name} not checked: {error}")
        except (ModelError, EngineError) as error:
            typer.echo(f"wrong variant {name}: {error}")
            good = False
        else:
            typer.echo(f"ok    variant {name}: {len(directory.manifest.golden)} golden texts")
    return good


def _check(what: str, check: Callable[[], None]) -> bool:
    try:
        check()
    except ModelError as error:
        typer.echo(f"wrong {what}: {error}")
        return False
    typer.echo(f"ok    {what}")
    return True


def _load(settings: Settings) -> Classifier:
    return load_classifier(
        settings.model,
        variant=settings.variant,
        threads=engine_threads(settings.threads),
        compiled_cache=settings.compiled_cache,
    )


def _predict_stream(
    settings: Settings, classifier: Classifier, stream: IO[bytes], *, total: int | None
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # On a terminal that gets the answers as well, they are the progress; a bar would run into them.
    disable = sys.stdout.isatty() or not console.is_terminal
    with Progress(console=console, transient=True, disable=disable) as progress:
        task = progress.add_task("Classifying", total=total)
        for window, size in _windows(stream):
            for line in _answers(classifier, window, settings):
                typer.echo(line)
            progress.advance(task, size)


def _windows(stream: IO[bytes]) -> Iterator[tuple[list[str], int]]:
    """Yield the stream's lines, a window at a time, with the bytes that they took."""
    window: list[str] = []
    size = 0
    for number, raw in enumerate(stream, start=1):
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901 - a mark of the file, not of the text
        try:
            window.append(raw.decode().removesuffix("\n").removesuffix("\r"))
        except UnicodeDecodeError:
            raise ConfigurationError(f"line {number} is not UTF-8; convert the file first") from None
        size += len(raw)
        if len(window) == WINDOW:
            yield window, size
            window, size = [], 0
    if window:
        yield window, size


def _answers(classifier: Classifier, texts: Sequence[str], settings: Settings) -> Iterator[str]:
    """Yield the JSON line of each text, in order, having run them in order of length."""
    from mlapi.api.rendering import Renderer
    from mlapi.types import Prediction

    encodings = classifier.encode(texts)
    answers: dict[int, Probabilities] = {}
    for batch in _batches(encodings, settings):
        results = classifier.classify([encodings[index] for index in batch])
        answers.update(zip(batch, results, strict=True))
    renderer = Renderer(classifier.info.labels)
    for index, text in enumerate(texts):
        truncated = encodings[index].truncated
        body = json.loads(renderer.single(Prediction(answers[index], truncated)))
        yield json.dumps({"text": text, **body, "truncated": truncated}, ensure_ascii=False)


def _batches(encodings: Sequence[Encoding], settings: Settings) -> Iterator[list[int]]:
    """Yield the texts' indexes, in order of length, in batches within the settings' budget."""
    batch: list[int] = []
    for index in sorted(range(len(encodings)), key=lambda index: encodings[index].length):
        padded = encodings[index].length * (len(batch) + 1)
        if batch and (padded > settings.max_batch_tokens or len(batch) == settings.max_batch_texts):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
