"""A classifier becomes a model directory: every variant is made, proven, and only then written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlapi.errors import ConfigurationError, ModelError
from mlapi.models.atomic import fresh_directory
from mlapi.training.directory import GRAPHS, INT8_FILE
from mlapi.training.export import longest_sequence
from mlapi.training.export_progress import Silent
from mlapi.training.gate import check_disjoint
from mlapi.training.golden import GOLDEN_TEXTS
from mlapi.training.labelled import shipped
from mlapi.training.making import Making
from mlapi.training.trials import Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from mlapi.models.manifest import Manifest, Source, Training
    from mlapi.training.directory import Weights
    from mlapi.training.export_progress import Watcher
    from mlapi.training.labelled import TextSet

VARIANTS = tuple(GRAPHS)


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        manifest: As written.
        refused: By variant, why it was asked for and not written.
    """

    manifest: Manifest
    refused: dict[str, str] = field(default_factory=dict)


def export_directory(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    out: Path,
    *,
    name: str,
    calibration: TextSet | None = None,
    gate: TextSet | None = None,
    variants: Iterable[str] = VARIANTS,
    weights: Weights | None = None,
    max_length: int | None = None,
    golden_texts: Sequence[str] = GOLDEN_TEXTS,
    training: Training | None = None,
    source: Source | None = None,
    threads: int = 1,
    watcher: Watcher | None = None,
) -> Exported:
    """Write a sequence classifier and its tokenizer as a model directory.

    The directory appears at `out` only when it is whole; one that was there is replaced then. The same
    arguments give the same bytes. A variant that does not pass is left out.

    Args:
        model: Any `…ForSequenceClassification` of a supported architecture, with `id2label` set.
        tokenizer: Adds the model's special tokens.
        out: The directory to make.
        name: The model's name in the manifest.
        calibration: Texts that int8 scales are drawn from; None takes the set that ships with us.
        gate: Texts by which variants are judged; None takes the set that ships with us.
        variants: Names from `VARIANTS`.
        weights: How `model.safetensors` is stored; None stores it as the model is. All variants are made of
            what is stored, so that with `fp16` they answer as the rounded weights do in float32.
        max_length: Longest token sequence; None takes the most that the model's positions hold.
        golden_texts: Texts whose logits the manifest records.
        training: Where the weights came from.
        source: The files on a model hub that the model was read from.
        threads: CPU threads of an engine call.
        watcher: Is told how far it is.

    Raises:
        ModelError: The ONNX graph does not give torch's logits, or no variant passed.
        DataError: Calibration and gate share texts, or a label is not one that the model gives.
        ConfigurationError: A variant is not known, or `out` cannot be written or holds no model directory.
    """
    wanted = checked_variants(variants)
    longest = min(max_length or longest_sequence(model), longest_sequence(model))
    labels = [model.config.id2label[index] for index in range(len(model.config.id2label))]
    texts = Texts(calibration or shipped("calibration", labels), gate or shipped("gate", labels))
    check_disjoint(texts.calibration, texts.gate)
    with fresh_directory(out) as partial:
        made = Making(
            partial, name=name, max_length=longest, texts=texts, threads=threads, watcher=watcher or Silent()
        )
        made.base(model, tokenizer, weights=weights, golden_texts=golden_texts)
        for variant in wanted:
            if GRAPHS[variant] != INT8_FILE:
                made.float_variant(variant)
        made.int8_variants([variant for variant in wanted if GRAPHS[variant] == INT8_FILE])
        if not made.passed:
            raise ModelError(
                f"{out} was not written, since no variant passed: {'; '.join(made.refused.values())}"
            )
        return Exported(made.finish(training=training, source=source), made.refused)


def checked_variants(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in the order of `VARIANTS`.

    Raises:
        ConfigurationError: One is not known, or there are none.
    """
    given = tuple(dict.fromkeys(names))
    if unknown := [name for name in given if name not in VARIANTS]:
        raise ConfigurationError(f"--variants: {unknown[0]!r} is none of {', '.join(VARIANTS)}")
    if not given:
        raise ConfigurationError(f"--variants names none; choose from {', '.join(VARIANTS)}")
    return tuple(name for name in VARIANTS if name in given)
