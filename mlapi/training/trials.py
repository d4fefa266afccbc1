"""Proving a variant before it is written: same text, same answer, and the gate."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.tokenizer import FastTokenizer
from mlapi.models.manifest import Measurement
from mlapi.training.figures import agreeing, decided, indicator
from mlapi.training.gate import judge, score
from mlapi.training.golden import pad_id, rounded
from mlapi.training.invariance import check_invariance
from mlapi.types import ModelInfo, ModelVersion, VariantId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlapi.models.manifest import Manifest, Variant
    from mlapi.ports import TokenEngine
    from mlapi.training.labelled import TextSet
    from mlapi.training.scoring import Scores


@dataclass(frozen=True, slots=True)
class Texts:
    """What variants are proven on.

    Attributes:
        calibration: Texts that int8 scales are drawn from.
        gate: Texts that no scale was drawn from.
    """

    calibration: TextSet
    gate: TextSet


@dataclass(frozen=True, slots=True)
class Trial:
    """A variant that passed, with what was found on the way.

    Attributes:
        variant: The manifest's entry, complete.
        scores: What it says of the gate texts.
        invariance: Largest difference of a probability between ways to run the same text.
    """

    variant: Variant
    scores: Scores
    invariance: float


def prove(
    directory: Path,
    manifest: Manifest,
    name: str,
    texts: Texts,
    *,
    threads: int,
    reference: Scores | None = None,
    remedy: str | None = None,
) -> Trial:
    """Load a variant without trusting it and put it through everything that it must pass.

    Args:
        directory: Where its files are.
        manifest: Describes them; the variant's entry has its tolerance.
        name: The variant.
        texts: What it is proven on.
        threads: CPU threads of an engine call.
        reference: What float32 says of the gate texts; needed for int8.
        remedy: What was done beyond plain quantisation.

    Raises:
        GateFailed: An int8 variant is too far from float32.
        ModelError: The engine is not installed or cannot load the graph, a golden text's answer is not the
            recorded one, or a text's answer depends on its batch.
        EngineError: The engine failed.
    """
    variant = manifest.variants[name]
    with opened(directory, manifest, name, threads=threads) as classifier:
        update: dict[str, object] = {}
        if variant.precision == "fp32":
            classifier.check_golden(manifest.golden, tolerance=variant.golden_tolerance)
        invariance = check_invariance(classifier, texts.gate.texts)
        scores = score(classifier, texts.gate.texts)
        if variant.precision == "int8" and reference is not None:
            update["gate"] = judge(
                reference,
                scores,
                texts.gate,
                calibration=texts.calibration,
                activation=manifest.activation,
                remedy=remedy,
            )
            update["golden_logits"] = _golden_logits(classifier, manifest)
        if (measured := _measurement(scores, texts.gate, manifest)) is not None:
            update["measured"] = {texts.gate.name.partition(".")[0]: measured}
    return Trial(variant.model_copy(update=update), scores, invariance)


@contextmanager
def opened(directory: Path, manifest: Manifest, name: str, *, threads: int) -> Iterator[Classifier]:
    """Load a variant as serving does, but without its golden texts, whose logits may not be known yet.

    Raises:
        ModelError: The engine is not installed, or cannot load the graph.
    """
    variant = manifest.variants[name]
    if manifest.max_length is None:  # pragma: no cover - models that read token ids have one
        raise ValueError("no maximum length")
    tokenizer = FastTokenizer(directory / "tokenizer.json", max_length=manifest.max_length)
    info = ModelInfo(
        name=manifest.name,
        version=ModelVersion(manifest.version),
        variant=name,
        variant_id=VariantId(variant.id),
        engine=variant.engine,
        labels=manifest.labels,
        max_length=manifest.max_length,
        activation=manifest.activation,
    )
    classifier = Classifier(info, TokenReader(tokenizer, _engine(directory, variant, threads=threads)))
    try:
        yield classifier
    finally:
        classifier.close()


def _engine(directory: Path, variant: Variant, *, threads: int) -> TokenEngine:
    padding = pad_id(directory)
    if variant.engine == "torch":
        from mlapi.engines.torch import TorchEngine

        return TorchEngine(directory, threads=threads, pad_id=padding)
    (graph,) = (directory / name for name in variant.files if name.endswith(".onnx"))
    if variant.engine == "onnx":
        from mlapi.engines.onnx import OnnxEngine

        return OnnxEngine(graph, threads=threads, pad_id=padding)
    from mlapi.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(graph, threads=threads, pad_id=padding)


def _golden_logits(classifier: Classifier, manifest: Manifest) -> tuple[tuple[float, ...], ...]:
    """Return the variant's own answers to the golden texts, each run alone as at start."""
    encodings = classifier.encode([golden.text for golden in manifest.golden])
    return tuple(rounded(classifier.logits([encoding])[0].tolist()) for encoding in encodings)


def _measurement(scores: Scores, texts: TextSet, manifest: Manifest) -> Measurement | None:
    """Count the right answers, where there are labels to count by."""
    rows = [row for row, label in enumerate(texts.labels) if label is not None]
    if not rows:
        return None
    given = decided(scores.probabilities, manifest.activation)[rows]
    correct = agreeing(given, indicator([texts.labels[row] or () for row in rows], len(manifest.labels)))
    return Measurement(
        correct=correct, total=len(rows), accuracy=round(correct / len(rows), 6), data_sha256=texts.sha256
    )
