"""`mlapi model export`: reads a classifier, makes its variants, and says what became of each."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from mlapi.errors import ConfigurationError, HubError
from mlapi.training.export_progress import ExportProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.models.manifest import Manifest, Variant
    from mlapi.training.directory import Weights

NEEDED = ("torch", "transformers", "safetensors", "onnx", "onnxscript", "nncf")


def run_export(
    model: str,
    out: Path,
    *,
    calibration: Path | None = None,
    gate: Path | None = None,
    weights: Weights = "fp32",
    variants: Sequence[str] | None = None,
    name: str | None = None,
    threads: int,
    allow_pickle: bool = False,
    offline: bool = False,
) -> bool:
    """Export a directory, or a model of a hub, and print what was written.

    Args:
        model: A directory, or `OWNER/NAME` with or without `@REVISION`; what is a directory is taken for one.
        out: The directory to make.
        calibration: A file of texts that int8 scales are drawn from; None takes the set that ships with us.
        gate: A file of texts by which variants are judged; None takes the set that ships with us.
        weights: How `model.safetensors` is stored.
        variants: Which to write; None writes all.
        name: The model's name; None takes the directory's, or the repository's.
        threads: CPU threads of an engine call.
        allow_pickle: Whether to take `pytorch_model.bin` from a hub.
        offline: Whether to take everything from the hub client's cache.

    Returns:
        Whether every variant that was asked for was written.

    Raises:
        ConfigurationError: A tool that export needs is not installed, `name` is none, or `out` cannot be
            written.
        ModelError: The model cannot be had, is not supported, or none of its variants passed.
        DataError: A file of texts cannot be read.
    """
    if missing := [tool for tool in NEEDED if find_spec(tool) is None]:
        raise ConfigurationError(
            f"mlapi model export needs {', '.join(missing)}: run pip install 'mlapi[export]', or in a "
            "checkout make venv-torch and then .venv-torch/bin/mlapi model export"
        )
    from mlapi.models.atomic import check_replaceable
    from mlapi.training.exporter import VARIANTS, checked_variants, export_directory
    from mlapi.training.incoming import as_name, read_incoming
    from mlapi.training.labelled import read_texts

    wanted = checked_variants(VARIANTS if variants is None else variants)
    if name is not None and as_name(name) != name:
        raise ConfigurationError(
            f"--name: {name!r} is no name of letters, digits, '.', '_' and '-'; try {as_name(name)}"
        )
    check_replaceable(out)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(model)
        if not directory.is_dir() and _is_reference(model):
            directory = Path(temporary) / "pulled"
            _pull(model, directory, allow_pickle=allow_pickle, offline=offline)
        with ExportProgress(Console(stderr=True)) as progress:
            progress.step(f"reading {model}")
            incoming = read_incoming(directory)
            exported = export_directory(
                incoming.model,
                incoming.tokenizer,
                out,
                name=name or incoming.name,
                calibration=None if calibration is None else read_texts(calibration, incoming.labels),
                gate=None if gate is None else read_texts(gate, incoming.labels),
                variants=wanted,
                weights=weights,
                max_length=incoming.max_length,
                training=incoming.training,
                source=incoming.source,
                threads=threads,
                watcher=progress,
            )
    _report(out, exported.manifest)
    for refused, why in exported.refused.items():
        typer.echo(f"mlapi: {refused} was not written: {why}", err=True)
    return not exported.refused


def _is_reference(model: str) -> bool:
    """Tell whether something that is no directory can be a model of a hub, rather than a path."""
    return model.partition("@")[0].count("/") <= 1 and not model.startswith((".", "/", "~"))


def _pull(model: str, out: Path, *, allow_pickle: bool, offline: bool) -> None:
    from mlapi.models.hub import pull, split_reference
    from mlapi.models.progress import DownloadProgress

    repository, revision = split_reference(model)
    try:
        with DownloadProgress(Console(stderr=True)) as progress:
            pull(repository, revision, out, progress=progress, allow_pickle=allow_pickle, offline=offline)
    except HubError as error:  # it may be a path with a slip in it
        raise HubError(f"{error} (there is no folder {model} either)") from None


def _report(out: Path, manifest: Manifest) -> None:
    typer.echo(f"{out}: {manifest.name}, version {manifest.version}")
    for name, variant in manifest.variants.items():
        typer.echo(f"  {name}: {_figures(variant)}")


def _figures(variant: Variant) -> str:
    parts = [f"{measured.accuracy:.2%} right on {data}" for data, measured in variant.measured.items()]
    if (gate := variant.gate) is not None:
        parts.append(f"agrees with float32 on {gate.agreement:.2%} of {gate.texts} texts")
        parts.append(
            f"probabilities differ by {gate.mean_difference:.4f} on average, "
            f"{gate.largest_difference:.3f} at most"
        )
        parts += [f"not gated: {what}" for what in gate.not_gated]
        if gate.remedy is not None:
            parts.append(f"remedy: {gate.remedy}")
    return "; ".join(parts) or "written"
