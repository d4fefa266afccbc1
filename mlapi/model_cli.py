"""`mlapi model …`: looking at, checking and making model directories.

What a command needs is imported inside it, as in `mlapi.cli`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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


@model_app.command()
def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="ID[@REVISION]",
            help="Model on the hub: OWNER/NAME, then a branch, tag or commit.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Directory to make, or to replace.", show_default=False),
    ],
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Take pytorch_model.bin where there is no model.safetensors.",
        ),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Take everything from the hub client's cache, as HF_HUB_OFFLINE=1."),
    ] = False,
) -> None:
    """Fetch a sequence classifier from a model hub, for mlapi model export.

    Checks that it is of a supported kind and that every file has the digest that the hub gives. DIR is
    whole or not there. Stopped or cut off, the same command goes on where it was.

    HF_ENDPOINT names another hub, HF_TOKEN the account, HF_HOME the cache, HTTPS_PROXY a proxy; docs/hub.md
    explains them.
    """
    from rich.console import Console

    from mlapi.models.hub import pull as pull_model
    from mlapi.models.hub import split_reference
    from mlapi.models.progress import DownloadProgress

    repository, revision = split_reference(model)
    with DownloadProgress(Console(stderr=True)) as progress:
        source = pull_model(
            repository, revision, out, progress=progress, allow_pickle=allow_pickle, offline=offline
        )
    typer.echo(f"{out}: {source.repository} at {source.revision}")
    for name, digest in source.files.items():
        typer.echo(f"  {name} SHA-256 {digest}")


@model_app.command()
def evaluate(
    directory: Annotated[Path, typer.Argument(help="Model directory.")],
    *,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Texts: the header sentence<TAB>label, then one text with its label (id or name) a line.",
            show_default=False,
        ),
    ],
    variant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Variant to evaluate, auto, or all; may be repeated [default: all]."
        ),
    ] = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write the figures as JSON; - prints them alone."),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Draw each variant's reliability diagram and confusion matrix there. Needs matplotlib.",
        ),
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the accuracies into the manifest.")] = False,
    threads: ThreadsOption = None,
) -> None:
    """Measure variants on a file of texts: accuracy, agreement with float32, calibration, speed.

    Texts without labels give agreement and speed alone. Variants whose engine is not installed are named as
    not evaluated; status 1 where one does not give its recorded answers. docs/evaluation.md explains each
    figure.
    """
    from mlapi.resources import engine_threads
    from mlapi.training.evaluate_command import run_evaluation

    good = run_evaluation(
        directory,
        data,
        variants=variant or ["all"],
        threads=engine_threads(settings_from(threads=threads).threads),
        json_out=json_out,
        pictures=pictures,
        record=record,
    )
    if not good:
        raise typer.Exit(EXIT_FAILURE)


@model_app.command()
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="DIR|ID[@REVISION]",
            help="Folder that transformers or a pull made, a model directory, or a model on the hub.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Model directory to make, or to replace.", show_default=False),
    ],
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Texts that int8 scales are drawn from, a few hundred [default: a set of ours].",
        ),
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Texts, labelled if possible, that int8 is judged by [default: a set of ours].",
        ),
    ] = None,
    weights: Annotated[
        Literal["fp32", "fp16"],
        typer.Option(help="How the weights are stored; fp16 halves them, and all variants are made of it."),
    ] = "fp32",
    variants: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="Which to write, of torch-fp32, onnx-fp32, openvino-fp32, onnx-int8, openvino-int8 [all].",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name [default: the directory's or the repository's].")
    ] = None,
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle", help="From a hub: take pytorch_model.bin where there is no safetensors."
        ),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="From a hub: take everything from the hub client's cache."),
    ] = False,
    threads: ThreadsOption = None,
) -> None:
    """Make the variants of a classifier (ONNX, OpenVINO; float32, int8), prove them, and write what passed.

    Each variant must give a text the same answer alone, in a batch and padded; int8 may lose half a point of
    accuracy and must agree with float32 on 99 % of the gate texts. Takes a few minutes. Ends with status 1 if
    a variant that was asked for was not written; the others are.
    """
    from mlapi.resources import engine_threads
    from mlapi.training.export_command import run_export

    complete = run_export(
        model,
        out,
        calibration=calibration,
        gate=gate,
        weights=weights,
        variants=None if variants is None else [part.strip() for part in variants.split(",") if part.strip()],
        name=name,
        threads=engine_threads(settings_from(threads=threads).threads),
        allow_pickle=allow_pickle,
        offline=offline,
    )
    if not complete:
        raise typer.Exit(EXIT_FAILURE)
