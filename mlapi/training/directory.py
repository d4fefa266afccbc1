"""A transformers model as the files of a model directory: weights, tokenizer, golden texts, manifest."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Literal

from mlapi.errors import ModelError
from mlapi.models.atomic import fresh_directory, write_atomically
from mlapi.models.manifest import (
    FileEntry,
    Golden,
    Manifest,
    Measurement,
    Source,
    Training,
    Variant,
    file_entry,
    model_version,
    read_manifest,
    variant_id,
    write_manifest,
)
from mlapi.training.export import export_onnx, longest_sequence
from mlapi.training.golden import GOLDEN_TEXTS, torch_golden
from mlapi.training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from mlapi.types import Activation

BASE_FILES = ("config.json", "tokenizer.json", "model.safetensors")
ONNX_FILE = "onnx/model.onnx"
INT8_FILE = "onnx/model.int8.onnx"

GRAPHS: dict[str, str | None] = {
    "torch-fp32": None,
    "onnx-fp32": ONNX_FILE,
    "openvino-fp32": ONNX_FILE,
    "onnx-int8": INT8_FILE,
    "openvino-int8": INT8_FILE,
}
"""By variant, the graph that it runs; named as its engine and its precision. torch runs the weights."""

FLOAT = ("torch-fp32", "onnx-fp32")

GOLDEN_TOLERANCE = 5e-4
"""Largest deviation of a probability, at start, of a float32 variant from the recorded torch logits."""

INT8_TOLERANCE = 0.02
"""The same of an int8 variant from its own recorded logits: other CPUs round some activations otherwise."""

Weights = Literal["fp32", "fp16"]


def write_transformers_directory(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    out: Path,
    *,
    name: str,
    golden_texts: Sequence[str] = GOLDEN_TEXTS,
    training: Training | None = None,
) -> Manifest:
    """Write a model directory with the variants torch-fp32 and onnx-fp32, which `mlapi model export` takes.

    The graph is compared with torch, as always, and the golden texts are torch's; nothing else is proven.

    Raises:
        ModelError: The ONNX graph does not give torch's logits.
        ConfigurationError: `out` cannot be written, or holds something that is no model directory.
    """
    longest = longest_sequence(model)
    with fresh_directory(out) as partial:
        write_base_files(model, tokenizer, partial)
        export_onnx(partial, partial / ONNX_FILE)
        golden = torch_golden(partial, golden_texts, max_length=longest)
        manifest = transformers_manifest(
            partial, name=name, max_length=longest, golden=golden, variants=FLOAT, training=training
        )
        write_manifest(partial, manifest)
    return manifest


def write_base_files(
    model: PreTrainedModel, tokenizer: Tokenizer, directory: Path, *, weights: Weights | None = None
) -> None:
    """Write `BASE_FILES`.

    Args:
        model: Any `…ForSequenceClassification`, with `id2label` set; left as it is.
        tokenizer: Adds the model's special tokens. Saved without padding or truncation, which are serving's.
        directory: Is there, and empty.
        weights: How weights are stored; None stores them as they are.

    Raises:
        ModelError: A weight is not finite, or too large for float16.
    """
    import torch

    stored: Any = model
    if weights is not None:
        stored = copy.deepcopy(model).to(dtype={"fp32": torch.float32, "fp16": torch.float16}[weights])
    if not all(bool(torch.isfinite(tensor).all()) for tensor in stored.parameters()):
        raise ModelError(
            "some weights are no finite numbers"
            + (", or too large for float16; use --weights fp32" if weights == "fp16" else "")
        )
    with quiet():
        stored.save_pretrained(directory, safe_serialization=True, max_shard_size="100GB")
    config: Any = model.config
    _tidy_config(directory / "config.json", config.id2label)
    plain = type(tokenizer).from_str(tokenizer.to_str())
    plain.no_padding()
    plain.no_truncation()
    write_atomically(directory / "tokenizer.json", plain.to_str(pretty=False).encode())


def transformers_manifest(
    directory: Path,
    *,
    name: str,
    max_length: int,
    golden: Sequence[Golden],
    variants: Iterable[str] = FLOAT,
    training: Training | None = None,
    source: Source | None = None,
) -> Manifest:
    """Describe a directory that holds `BASE_FILES` and the graphs of the variants.

    Args:
        directory: The model directory; its files are read once for their digests.
        name: The model's name.
        max_length: Longest token sequence, special tokens included.
        golden: Texts with reference logits, see `torch_golden`.
        variants: Names from `GRAPHS`.
        training: Where the weights came from.
        source: The files on a model hub that the directory was made from.
    """
    config = json.loads((directory / "config.json").read_bytes())
    id2label = {int(index): str(label) for index, label in config["id2label"].items()}
    activation: Activation = (
        "sigmoid" if config.get("problem_type") == "multi_label_classification" else "softmax"
    )
    wanted = [variant for variant in GRAPHS if variant in set(variants)]
    graphs = dict.fromkeys(graph for variant in wanted if (graph := GRAPHS[variant]))
    files = {file: file_entry(directory / file) for file in (*BASE_FILES, *graphs)}
    return Manifest(
        schema=1,
        name=name,
        architecture=config["architectures"][0],
        version=model_version(
            labels=[id2label[index] for index in range(len(id2label))],
            activation=activation,
            max_length=max_length,
            base_digests={file: files[file].sha256 for file in BASE_FILES},
        ),
        id2label=id2label,
        activation=activation,
        max_length=max_length,
        files=files,
        base_files=BASE_FILES,
        variants={variant: _variant(variant, files) for variant in wanted},
        golden=tuple(golden),
        training=training,
        source=source,
    )


def record_measurements(directory: Path, measured: Mapping[str, Mapping[str, Measurement]]) -> Manifest:
    """Replace the measurements in a directory's manifest, in one rename.

    Args:
        directory: The model directory.
        measured: Accuracies by variant and data set; variants that are not named keep theirs.

    Returns:
        The manifest, as written. Version and variant ids do not depend on measurements.
    """
    manifest = read_manifest(directory)
    variants = {
        name: variant.model_copy(update={"measured": dict(measured[name])}) if name in measured else variant
        for name, variant in manifest.variants.items()
    }
    manifest = manifest.model_copy(update={"variants": variants})
    write_manifest(directory, manifest)
    return manifest


def _variant(name: str, files: Mapping[str, FileEntry]) -> Variant:
    engine, _, precision = name.partition("-")
    graph = GRAPHS[name]
    names = BASE_FILES if graph is None else ("config.json", "tokenizer.json", graph)
    return Variant.model_validate(
        {
            "engine": engine,
            "precision": precision,
            "id": variant_id(engine=engine, digests={file: files[file].sha256 for file in names}),
            "files": names,
            "golden_tolerance": INT8_TOLERANCE if precision == "int8" else GOLDEN_TOLERANCE,
        }
    )


def _tidy_config(path: Path, id2label: Mapping[int, str]) -> None:
    """Write the labels out (transformers leaves out LABEL_0, LABEL_1, …) and no path of this machine."""
    config = json.loads(path.read_bytes())
    config.pop("_name_or_path", None)
    config["id2label"] = {str(index): id2label[index] for index in range(len(id2label))}
    config["label2id"] = {label: index for index, label in sorted(id2label.items())}
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
