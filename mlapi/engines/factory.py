"""From a model directory and a variant's name to a classifier that has proven itself."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from mlapi.classifier import Classifier, TextReader, TokenReader
from mlapi.engines.selection import by_preference, reason
from mlapi.errors import (
    DigestMismatch,
    EngineError,
    GoldenMismatch,
    ManifestError,
    ModelError,
    VariantUnavailable,
)
from mlapi.models.directory import ModelDirectory
from mlapi.models.manifest import CONFIG_NAME, variant_id
from mlapi.resources import this_machine
from mlapi.types import ModelInfo, ModelVersion, VariantId

if TYPE_CHECKING:
    from pathlib import Path

    from mlapi.classifier import Reader
    from mlapi.models.manifest import Variant
    from mlapi.types import Machine

logger = logging.getLogger(__name__)

AUTO = "auto"
FAKE = "fake"
TOKENIZER = "tokenizer.json"
LOADED = {
    "onnx": (TOKENIZER,),
    "openvino": (TOKENIZER,),
    "lab": (),
    "torch": (TOKENIZER, "model.safetensors"),
}
"""What each engine reads besides config.json, whether or not its variant lists it: verified all the same."""


ASKED_FOR = "asked for by name"


def load_classifier(
    path: Path,
    *,
    variant: str = AUTO,
    threads: int,
    compiled_cache: Path | None = None,
    machine: Machine | None = None,
) -> Classifier:
    """Load a model, check the files it was loaded from, and run its golden texts.

    Args:
        path: The model directory.
        variant: A variant's name, `auto`, or `fake` for the fake engine under this model's name and labels.
        threads: CPU threads of the engine.
        compiled_cache: Directory for compiled graphs, of engines that can keep them.
        machine: What `auto` decides by; by default the one that this runs on.

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
        return _load(directory, variant, threads=threads, compiled_cache=compiled_cache, why=ASKED_FOR)
    machine = machine or this_machine()
    variants = directory.manifest.variants
    failure: ModelError | EngineError | None = None
    failures: dict[str, str] = {}
    for name in by_preference(variants, machine):
        why = reason(name, variants, machine, failures=failures)
        try:
            return _load(directory, name, threads=threads, compiled_cache=compiled_cache, why=why)
        except (DigestMismatch, ManifestError):
            raise
        except (ModelError, EngineError) as error:
            logger.warning("variant %s is not usable, trying the next: %s", name, error)
            failures[name] = _in_short(error)
            failure = failure or error
    if failure is None:  # pragma: no cover - a manifest has at least one variant, of a known engine
        raise VariantUnavailable(f"{path} has no variant that this version can run")
    raise failure


def _in_short(error: ModelError | EngineError) -> str:
    """Return what went wrong in words that a health page may show: no path, and no text."""
    match error:
        case VariantUnavailable():
            return "its engine is not installed"
        case GoldenMismatch():
            return "gives other scores here than recorded"
        case EngineError():
            return "its engine failed"
        case _:
            return "cannot be loaded"


def _load(
    directory: ModelDirectory, name: str, *, threads: int, compiled_cache: Path | None, why: str
) -> Classifier:
    manifest, variant = directory.manifest, directory.variant(name)
    directory.verify([CONFIG_NAME, *LOADED[variant.engine], *variant.files])
    directory.verify_labels()
    classifier = Classifier(
        _info(
            directory,
            variant=name,
            engine=variant.engine,
            variant_digest=VariantId(variant.id),
            precision=variant.precision,
            why=why,
        ),
        _reader(directory, variant, threads=threads, compiled_cache=compiled_cache),
    )
    try:
        classifier.check_golden(
            manifest.golden, tolerance=variant.golden_tolerance, own=variant.golden_logits
        )
    except Exception:
        classifier.close()
        raise
    return classifier


def _reader(
    directory: ModelDirectory, variant: Variant, *, threads: int, compiled_cache: Path | None
) -> Reader:
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

        graph = _graph(directory, variant)
        return TokenReader(tokenizer, OnnxEngine(graph, threads=threads, pad_id=pad_id))
    if variant.engine == "openvino":
        from mlapi.engines.openvino import OpenVinoEngine

        graph = _graph(directory, variant)
        engine = OpenVinoEngine(graph, threads=threads, pad_id=pad_id, cache_dir=compiled_cache)
        return TokenReader(tokenizer, engine)
    from mlapi.engines.torch import TorchEngine

    return TokenReader(tokenizer, TorchEngine(directory.path, threads=threads, pad_id=pad_id))


def _graph(directory: ModelDirectory, variant: Variant) -> Path:
    graphs = [name for name in variant.files if name.endswith(".onnx")]
    if len(graphs) != 1:
        raise ModelError(
            f"{directory.path}: an {variant.engine} variant needs one .onnx file, not {len(graphs)}"
        )
    return directory.path / graphs[0]


def _load_fake(directory: ModelDirectory) -> Classifier:
    from mlapi.engines.fake import FakeEngine, FakeTokenizer

    logger.warning("the fake engine answers: its scores mean nothing")
    manifest = directory.manifest
    digest = variant_id(engine=FAKE, digests={})
    info = _info(directory, variant=FAKE, engine=FAKE, variant_digest=digest, precision="none", why=ASKED_FOR)
    tokenizer = FakeTokenizer(max_length=manifest.max_length or 512)
    return Classifier(info, TokenReader(tokenizer, FakeEngine(labels=len(manifest.labels))))


def _info(
    directory: ModelDirectory,
    *,
    variant: str,
    engine: str,
    variant_digest: VariantId,
    precision: str,
    why: str,
) -> ModelInfo:
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
        precision=precision,
        reason=why,
    )


def _pad_id(directory: ModelDirectory) -> int:
    config = json.loads((directory.path / CONFIG_NAME).read_bytes())
    pad_id = config.get("pad_token_id")
    return pad_id if isinstance(pad_id, int) else 0
