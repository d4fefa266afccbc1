"""The model and all its graphs, made once: what is there already is kept."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING

from bench.engines.contenders import FP32, INT8, PAD_ID, RIVAL_GRAPHS
from bench.engines.rivals import makers
from bench.engines.verdicts import SUBJECT
from bench.model import SIZES, calibration_ids, save, texts
from mlapi.models.manifest import MANIFEST_NAME, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from bench.model import Size

LONGEST = 512


def prepare(size: str, work: Path, *, rivals: bool) -> tuple[Path, int]:
    """Make the model directory if it is not there, with the rivals' graphs beside it if wanted.

    That happens in a process of its own, so that nothing of torch or the quantisers stays in this one.

    Args:
        size: A name from `SIZES`.
        work: Where directories are kept, by size.
        rivals: Whether the graphs of ONNX Runtime's own tools are needed, too.

    Returns:
        The directory and the number of the model's parameters.
    """
    directory = work / size
    needed = [MANIFEST_NAME, *(RIVAL_GRAPHS.values() if rivals else ())]
    if not all((directory / name).exists() for name in needed):
        make = multiprocessing.get_context("spawn").Process
        maker = make(target=_make, args=(SIZES[size], directory), kwargs={"rivals": rivals})
        maker.start()
        maker.join()
        if maker.exitcode != 0:
            sys.exit(f"{directory} could not be made, see above; run this again to go on from what is there")
    return directory, _parameters(directory / "model.safetensors")


def _make(size: Size, directory: Path, *, rivals: bool) -> None:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before any tool imports onnxruntime
    logging.getLogger().setLevel(logging.ERROR)  # the tools comment on every second tensor
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / "tokenizer.json").exists():
        save(size, directory)
    from mlapi.training.export import export_onnx
    from mlapi.training.quantize import quantize

    files = {
        FP32: lambda path: export_onnx(directory, path),
        INT8: lambda path: quantize(directory / FP32, path, calibration_ids(size)),
        **(makers(size, directory) if rivals else {}),
    }
    for name, make in files.items():
        path = directory / name
        if path.exists():
            continue
        print(f"making {path}", file=sys.stderr, flush=True)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f".{path.name}")
        make(partial)
        partial.replace(path)
    if not (directory / MANIFEST_NAME).exists():
        _describe(size, directory)


def _describe(size: Size, directory: Path) -> None:
    """Write the manifest after the graphs that serve: it tells that they are there.

    The gate and the other proofs of `mlapi model export` are left out: random weights prove nothing.
    """
    from mlapi.engines.openvino import OpenVinoEngine
    from mlapi.engines.tokenizer import FastTokenizer
    from mlapi.training.directory import transformers_manifest
    from mlapi.training.golden import torch_golden

    samples = [
        *texts(size, count=10, lengths=(4, 128), seed=3),
        *texts(size, count=1, lengths=(600, 600), seed=4),
    ]
    golden = torch_golden(directory, samples, max_length=LONGEST)
    manifest = transformers_manifest(
        directory, name="bench", max_length=LONGEST, golden=golden, variants=[SUBJECT]
    )
    tokenizer = FastTokenizer(directory / "tokenizer.json", max_length=LONGEST)
    engine = OpenVinoEngine(directory / INT8, threads=1, pad_id=PAD_ID)
    own = tuple(
        tuple(engine.infer([encoding.payload])[0].tolist())  # type: ignore[list-item]  # ids, from this tokenizer
        for encoding in tokenizer.encode(samples)
    )
    engine.close()
    variant = manifest.variants[SUBJECT].model_copy(update={"golden_logits": own})
    write_manifest(directory, manifest.model_copy(update={"variants": {SUBJECT: variant}}))


def _parameters(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
