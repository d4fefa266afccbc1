"""What a classifier is fine-tuned from: an encoder, or a classifier whose head fits or is replaced."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlapi.errors import ModelError
from mlapi.models.architectures import ARCHITECTURES, check_config, label_names
from mlapi.models.directory import ModelDirectory
from mlapi.models.manifest import CONFIG_NAME, MANIFEST_NAME, file_entry
from mlapi.models.source import read_source
from mlapi.training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

TASK = "single_label_classification"
POOLER = "pooler."
"""Weights between an encoder and its head, which some encoders are published without."""


@dataclass(frozen=True, slots=True)
class Base:
    """A model to start from.

    Attributes:
        directory: Holds `config.json` and safetensors.
        name: What a manifest calls it: its name on the hub, in its own manifest, or its folder's.
        revision: Commit on the hub, version in its manifest, or SHA-256 of its weights.
        digests: SHA-256 of what it is loaded from, by file name.
        labels: What its head tells apart; None where it has none, or one of another kind.
    """

    directory: Path
    name: str
    revision: str
    digests: dict[str, str]
    labels: tuple[str, ...] | None


def open_base(directory: Path) -> Base:
    """Look at a folder that transformers saved, that was pulled from a hub, or that is a model directory.

    Raises:
        ModelError: It holds no supported model in safetensors, or its files are not those of its manifest.
    """
    config = _config(directory)
    try:
        check_base(config)
    except ModelError as error:
        raise ModelError(f"{directory}: {error}") from None
    weights = sorted(path.name for path in directory.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"{directory} has no model.safetensors; save the model with transformers' save_pretrained first"
        )
    tokenizer = [name for name in ("tokenizer.json",) if (directory / name).is_file()]
    digests = {name: file_entry(directory / name).sha256 for name in (CONFIG_NAME, *tokenizer, *weights)}
    name, revision = _origin(directory, default=(directory.resolve().name, digests[weights[0]]))
    fits = config.get("architectures") == [ARCHITECTURES[config["model_type"]]] and config.get(
        "problem_type"
    ) in {
        None,
        TASK,
    }
    return Base(directory, name, revision, digests, label_names(config) if fits else None)


def check_base(config: Mapping[str, Any]) -> None:
    """Refuse what no supported classifier can be made of, whatever its own head is for.

    Raises:
        ModelError: The family is not supported, or the model brings code of its own.
    """
    as_classifier = {
        "architectures": [ARCHITECTURES.get(str(config.get("model_type")), "")],
        "id2label": {"0": "no", "1": "yes"},
        "num_labels": 2,
        "problem_type": TASK,
    }
    check_config({**config, **as_classifier})


def build_classifier(base: Base, labels: Sequence[str]) -> PreTrainedModel:
    """Return a classifier with the base's weights; its head is the base's where the labels are the same.

    A new head is drawn from torch's generator as it stands.

    Raises:
        ModelError: transformers cannot load the base, or weights of the encoder are missing.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    options = {"local_files_only": True, "trust_remote_code": False}
    loading = {**options, "use_safetensors": True, "dtype": torch.float32}
    try:
        with quiet():
            if tuple(labels) == base.labels:
                whole: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
                    base.directory, **loading
                )
                return whole
            config = AutoConfig.from_pretrained(base.directory, **options)
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: index for index, label in enumerate(labels)}
            config.problem_type = TASK
            model: Any = AutoModelForSequenceClassification.from_config(config).to(torch.float32)
            encoder, report = AutoModel.from_pretrained(base.directory, output_loading_info=True, **loading)
    except Exception as error:  # transformers raises whatever the files provoke
        raise ModelError(
            f"{base.directory} cannot be loaded by transformers; save or pull the model anew"
        ) from error
    if missing := sorted(name for name in report["missing_keys"] if not name.startswith(POOLER)):
        raise ModelError(
            f"{base.directory}: the weights lack {missing[0]}, so they are not those of config.json"
        )
    getattr(model, model.base_model_prefix).load_state_dict(encoder.state_dict(), strict=False)
    made: PreTrainedModel = model
    return made


def _config(directory: Path) -> dict[str, Any]:
    try:
        config = json.loads((directory / CONFIG_NAME).read_bytes())
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise ModelError(
            f"{directory} has no readable {CONFIG_NAME}: --base takes a folder that transformers saved, "
            "one that mlapi model pull made, a model directory, or a model of a hub as OWNER/NAME"
        )
    return config


def _origin(directory: Path, *, default: tuple[str, str]) -> tuple[str, str]:
    if (source := read_source(directory)) is not None:
        return source.repository, source.revision
    if not (directory / MANIFEST_NAME).is_file():
        return default
    opened = ModelDirectory.open(directory)
    opened.verify([CONFIG_NAME, *opened.manifest.base_files])
    return opened.manifest.name, opened.manifest.version
