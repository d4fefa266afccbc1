"""Which models are taken: sequence classifiers of BERT's family, as their `config.json` describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlapi.errors import ModelError

ARCHITECTURES: dict[str, str] = {
    "distilbert": "DistilBertForSequenceClassification",
    "bert": "BertForSequenceClassification",
    "roberta": "RobertaForSequenceClassification",
    "xlm-roberta": "XLMRobertaForSequenceClassification",
    "electra": "ElectraForSequenceClassification",
    "albert": "AlbertForSequenceClassification",
    "deberta-v2": "DebertaV2ForSequenceClassification",
}
"""By `model_type`, the class of transformers that is taken; each is proven by a random model in the tests."""

PROBLEM_TYPES = (None, "single_label_classification", "multi_label_classification")
"""Softmax for the first two, sigmoid for the last."""

FEWEST_LABELS = 2


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse a model that cannot be exported, from what its `config.json` says.

    Args:
        config: `config.json`, as it was read.

    Raises:
        ModelError: Code of its own, another kind of model, no sequence classifier, fewer than two labels,
            labels that cannot be told apart, a regression, or quantised weights.
    """
    if "auto_map" in config:
        raise ModelError(
            "the model brings code of its own (auto_map in config.json), which is never run; choose a "
            f"model of transformers' own classes: {', '.join(ARCHITECTURES)}"
        )
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in ARCHITECTURES:
        raise ModelError(
            f"model_type {model_type!r} in config.json is not supported; supported are "
            f"{', '.join(ARCHITECTURES)}"
        )
    architectures = config.get("architectures")
    if architectures != [ARCHITECTURES[model_type]]:
        named = ", ".join(map(str, architectures)) if isinstance(architectures, list) else architectures
        raise ModelError(
            f"architectures in config.json names {named or 'nothing'}, not {ARCHITECTURES[model_type]}: it "
            "is no sequence classifier; choose a model that was fine-tuned as one"
        )
    _check_labels(config)
    if "quantization_config" in config:
        raise ModelError(
            "the weights are quantised already (quantization_config in config.json); choose the model in "
            "float32, bfloat16 or float16"
        )


def label_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the label names by label id, as transformers reads them from `config.json`.

    Raises:
        ModelError: `id2label` does not number its labels 0, 1, 2, ….
    """
    id2label = config.get("id2label")
    if id2label is None:
        count = config.get("num_labels", FEWEST_LABELS)
        return tuple(f"LABEL_{index}" for index in range(count if isinstance(count, int) else 0))
    try:
        by_id = {int(index): str(name) for index, name in id2label.items()}
    except (AttributeError, ValueError):
        by_id = {}
    if not by_id or sorted(by_id) != list(range(len(by_id))):
        raise ModelError(
            "id2label in config.json does not number its labels 0, 1, 2, …; correct it at its source"
        )
    return tuple(by_id[index] for index in range(len(by_id)))


def _check_labels(config: Mapping[str, Any]) -> None:
    labels = label_names(config)
    problem = config.get("problem_type")
    if problem not in PROBLEM_TYPES or len(labels) < FEWEST_LABELS:
        raise ModelError(
            f"config.json describes {len(labels)} label(s) and problem_type {problem!r}: only classifiers "
            "with two or more labels are taken, single_label_classification or multi_label_classification"
        )
    if len(set(labels)) != len(labels):
        raise ModelError("id2label in config.json gives two labels the same name; correct it at its source")
