"""From a model directory and a variant's name to a classifier that has proven itself."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from mlapi.classifier import Classifier, TextReader, TokenReader
from mlapi.errors import DigestMismatch, EngineError, ManifestError, ModelError, VariantUnavailable
from mlapi.models.directory import ModelDirectory
from mlapi.models.manifest import CONFIG_NAME, variant_id
from mlapi.types import ModelInfo, ModelVersion, VariantId

if TYPE_CHECKING:
    from pathlib import Path

    from mlapi.classifier import Reader
    from mlapi.models.manifest import Variant

logger = logging.getLogger(__name__)

AUTO = "auto"
FAKE = "fake"
PREFERENCE = ("onnx", "lab", "torch")
"""Engines from fastest to slowest; `auto` takes the first that the directory holds and that loads."""

TOKENIZER = "tokenizer.json"
LOADED = {"onnx": (TOKENIZER,), "lab": (), "torch": (TOKENIZER, "model.safetensors")}
"""What each engine reads besides config.json, whether or not its variant lists it: verified all the same."""


def load_classifier(path: Path, *, variant: str = AUTO, threads: int) -> Classifier:
    """Load a model, check the files it was loaded from, and run its golden texts.

    Args:
        path: The model directory.
        variant: A variant's name, `auto`, or `fake` for the fake engine under this model's name and labels.
        threads: CPU threads for one inference call.

    Raises:
        ModelError: The directory is not fit to serve (see `mlapi.errors`). What an engine, or this machine,
            cannot do makes `auto` try the next variant, and is raised only when all failed, for the preferred
            one. Files and labels against the manifest always refuse: such a directory cannot be trusted.
        EngineError: The engine failed on a golden text; with `auto` as above.
    """
    directory = ModelDirectory.open(path)
    if variant == FAKE:
        return _load_fake(directory)
    if variant != AUTO:
        return _load(directory, variant, threads=threads)
    failure: ModelError | EngineError | None = None
    for name in _by_preference(directory):
        try:
            return _load(directory, name, threads=threads)
        except (DigestMismatch, ManifestError):
            raise
        except (ModelError, EngineError) as error:
            logger.warning("variant %s is not usable, trying the next: %s", name, error)
            failure = failure or error
    if failure is None:  # pragma: no cover - a manifest has at least one variant, of a known engine
        raise VariantUnavailable(f"{path} has no variant that this version can run")
    raise failure


def _by_preference(directory: ModelDirectory) -> list[str]:
    variants = directory.manifest.variants
    return sorted(variants, key=lambda name: PREFERENCE.index(variants[name].engine))


def _load(directory: ModelDirectory, name: str, *, threads: int) -> Classifier:
    manifest, variant = directory.manifest, directory.variant(name)
    directory.verify([CONFIG_NAME, *LOADED[variant.engine], *variant.files])
    directory.verify_labels()
    classifier = Classifier(
        _info(directory, variant=name, engine=variant.engine, variant_digest=VariantId(variant.id)),
        _reader(directory, variant, threads=threads),
    )
    try:
        classifier.check_golden(manifest.golden, tolerance=variant.golden_tolerance)
    except Exception:
        classifier.close()
        raise
    return classifier


def _reader(directory: ModelDirectory, variant: Variant, *, threads: int) -> Reader:
    if variant.engine == "lab":
        from mlapi.engines.lab import LabEngine

        return TextReader(LabEngine.load(directory.path))
    from mlapi.engines.tokenizer import FastTokenizer

    manifest = directory.manifest
    if manifest.max_length is None:
        raise ModelError(f"{directory.path}: a model that reads token ids needs max_length in its manifest")
    tokenizer = FastTokenizer(directory.path / TOKENIZER, max_length=manifest.max_length)
    pad_id = _pad_id(directory)
    if variant.engine == "onnx":
        from mlapi.engines.onnx import OnnxEngine

        graphs = [name for name in variant.files if name.endswith(".onnx")]
        if len(graphs) != 1:
            raise ModelError(f"{directory.path}: an onnx variant needs one .onnx file, not {len(graphs)}")
        return TokenReader(tokenizer, OnnxEngine(directory.path / graphs[0], threads=threads, pad_id=pad_id))
    from mlapi.engines.torch import TorchEngine

    return TokenReader(tokenizer, TorchEngine(directory.path, threads=threads, pad_id=pad_id))


def _load_fake(directory: ModelDirectory) -> Classifier:
    from mlapi.engines.fake import FakeEngine, FakeTokenizer

    logger.warning("the fake engine answers: its scores mean nothing")
    manifest = directory.manifest
    info = _info(directory, variant=FAKE, engine=FAKE, variant_digest=variant_id(engine=FAKE, digests={}))
    tokenizer = FakeTokenizer(max_length=manifest.max_length or 512)
    return Classifier(info, TokenReader(tokenizer, FakeEngine(labels=len(manifest.labels))))


def _info(directory: ModelDirectory, *, variant: str, engine: str, variant_digest: VariantId) -> ModelInfo:
    manifest = directory.manifest
    return ModelInfo(
        name=manifest.name,
        version=ModelVersion(manifest.version),
        variant=variant,
        variant_id=variant_digest,
        engine=engine,
        labels=manifest.labels,
        max_length=manifest.max_length,
        activation=manifest.activation,
    )


def _pad_id(directory: ModelDirectory) -> int:
    config = json.loads((directory.path / CONFIG_NAME).read_bytes())
    pad_id = config.get("pad_token_id")
    return pad_id if isinstance(pad_id, int) else 0
