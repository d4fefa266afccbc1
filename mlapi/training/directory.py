"""Writing a transformers model as a model directory: torch weights, ONNX graph, golden texts, manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlapi.models.manifest import (
    FileEntry,
    Golden,
    Manifest,
    Measurement,
    Training,
    Variant,
    file_entry,
    model_version,
    read_manifest,
    variant_id,
    write_manifest,
)
from mlapi.training.atomic import fresh_directory, write_atomically
from mlapi.training.export import export_onnx, longest_sequence
from mlapi.training.golden import GOLDEN_TEXTS
from mlapi.training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from mlapi.types import Activation

BASE_FILES = ("config.json", "tokenizer.json", "model.safetensors")
ONNX_FILE = "onnx/model.onnx"
GOLDEN_TOLERANCE = 5e-4
"""Largest deviation of a probability, at start, of a float32 variant from the recorded torch logits."""


def write_transformers_directory(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    out: Path,
    *,
    name: str,
    golden_texts: Sequence[str] = GOLDEN_TEXTS,
    training: Training | None = None,
    measured: Mapping[str, Mapping[str, Measurement]] | None = None,
) -> Manifest:
    """Write a sequence classifier and its tokenizer as a model directory with the variants torch and onnx.

    The directory appears at `out` only when it is whole; one that was there is replaced then.

    Args:
        model: Any `…ForSequenceClassification`, with `id2label` set; written in float32.
        tokenizer: Adds the model's special tokens. Saved without padding or truncation, which are serving's.
        out: The directory to make.
        name: The model's name in the manifest.
        golden_texts: Texts whose torch logits the manifest records.
        training: Where the weights came from.
        measured: Accuracies by variant (`torch-fp32`, `onnx-fp32`) and data set.

    Returns:
        The manifest, as written.

    Raises:
        ModelError: The ONNX graph does not give torch's logits.
        ConfigurationError: `out` cannot be written, or holds something that is no model directory.
    """
    with fresh_directory(out) as partial:
        with quiet():
            model.save_pretrained(partial, safe_serialization=True)
        config: Any = model.config
        _name_labels(partial / "config.json", config.id2label)
        _save_tokenizer(tokenizer, partial / "tokenizer.json")
        export_onnx(partial, partial / ONNX_FILE)
        manifest = transformers_manifest(
            partial,
            name=name,
            max_length=longest_sequence(model),
            golden=torch_golden(partial, golden_texts, max_length=longest_sequence(model)),
            training=training,
            measured=measured,
        )
        write_manifest(partial, manifest)
    return manifest


def transformers_manifest(
    directory: Path,
    *,
    name: str,
    max_length: int,
    golden: Sequence[Golden],
    training: Training | None = None,
    measured: Mapping[str, Mapping[str, Measurement]] | None = None,
) -> Manifest:
    """Describe a directory that holds `BASE_FILES` and `ONNX_FILE`.

    Args:
        directory: The model directory; its files are read once for their digests.
        name: The model's name.
        max_length: Longest token sequence, special tokens included.
        golden: Texts with reference logits, see `torch_golden`.
        training: Where the weights came from.
        measured: Accuracies by variant and data set.
    """
    config = json.loads((directory / "config.json").read_bytes())
    id2label = {int(index): str(label) for index, label in config["id2label"].items()}
    activation: Activation = (
        "sigmoid" if config.get("problem_type") == "multi_label_classification" else "softmax"
    )
    files = {file: file_entry(directory / file) for file in (*BASE_FILES, ONNX_FILE)}
    labels = [id2label[index] for index in range(len(id2label))]
    measured = measured or {}
    return Manifest(
        schema=1,
        name=name,
        architecture=config["architectures"][0],
        version=model_version(
            labels=labels,
            activation=activation,
            max_length=max_length,
            base_digests={file: files[file].sha256 for file in BASE_FILES},
        ),
        id2label=id2label,
        activation=activation,
        max_length=max_length,
        files=files,
        base_files=BASE_FILES,
        variants={
            "torch-fp32": _variant("torch", BASE_FILES, files, measured.get("torch-fp32", {})),
            "onnx-fp32": _variant(
                "onnx", ("config.json", "tokenizer.json", ONNX_FILE), files, measured.get("onnx-fp32", {})
            ),
        },
        golden=tuple(golden),
        training=training,
    )


def torch_golden(directory: Path, texts: Iterable[str], *, max_length: int) -> list[Golden]:
    """Run texts one by one through the serving tokenizer and torch engine.

    Args:
        directory: Holds `BASE_FILES`.
        texts: Any number of texts.
        max_length: Longest token sequence, special tokens included.

    Returns:
        For each text its logits, rounded to six decimals, and whether it was truncated.
    """
    import torch

    from mlapi.engines.tokenizer import FastTokenizer
    from mlapi.engines.torch import TorchEngine

    pad_id = int(json.loads((directory / "config.json").read_bytes()).get("pad_token_id") or 0)
    tokenizer = FastTokenizer(directory / "tokenizer.json", max_length=max_length)
    with quiet():
        engine = TorchEngine(directory, threads=torch.get_num_threads(), pad_id=pad_id)
    golden = []
    for text in texts:
        (encoding,) = tokenizer.encode([text])
        (logits,) = engine.infer([encoding.payload])  # type: ignore[list-item]
        rounded = tuple(round(logit, 6) for logit in logits.tolist())
        golden.append(Golden(text=text, logits=rounded, truncated=encoding.truncated))
    engine.close()
    return golden


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


def _variant(
    engine: str,
    names: tuple[str, ...],
    files: Mapping[str, FileEntry],
    measured: Mapping[str, Measurement],
) -> Variant:
    return Variant.model_validate(
        {
            "engine": engine,
            "precision": "fp32",
            "id": variant_id(engine=engine, digests={name: files[name].sha256 for name in names}),
            "files": names,
            "golden_tolerance": GOLDEN_TOLERANCE,
            "measured": dict(measured),
        }
    )


def _name_labels(path: Path, id2label: Mapping[int, str]) -> None:
    """Write the labels out: transformers leaves LABEL_0 and LABEL_1 out of config.json."""
    config = json.loads(path.read_bytes())
    config["id2label"] = {str(index): id2label[index] for index in range(len(id2label))}
    config["label2id"] = {label: index for index, label in sorted(id2label.items())}
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    copy = type(tokenizer).from_str(tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    write_atomically(path, copy.to_str(pretty=False).encode())
