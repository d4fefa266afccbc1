"""Reading what `mlapi model export` takes: what transformers saved, a pull, or a model directory of ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlapi.errors import ModelError
from mlapi.models.architectures import check_config
from mlapi.models.directory import ModelDirectory
from mlapi.models.manifest import CONFIG_NAME, MANIFEST_NAME
from mlapi.models.source import read_source
from mlapi.training.loading import load_model
from mlapi.training.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from mlapi.models.manifest import Source, Training

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLE = "pytorch_model.bin"
TOKENIZER = "tokenizer.json"
VOCABULARIES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model")
"""What a tokenizer can be made from; with none of them, transformers makes one that knows no words."""

LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Incoming:
    """A classifier that was read, with what is known of where it came from.

    Attributes:
        model: In float32 and evaluation mode.
        tokenizer: Adds the model's special tokens.
        labels: Label names by label id.
        name: What to call it, unless the user says otherwise.
        max_length: Longest token sequence, where the directory names one.
        training: From an earlier manifest.
        source: From `hub.json`, or from an earlier manifest.
    """

    model: PreTrainedModel
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    name: str
    max_length: int | None = None
    training: Training | None = None
    source: Source | None = None


def read_incoming(directory: Path) -> Incoming:
    """Read a classifier; no code of its own is ever run, and what has digests is checked against them.

    Raises:
        ModelError: There is no such directory, it is no supported classifier, a file is not the one that a
            manifest or `hub.json` names, or its weights are a pickle that was not asked for.
    """
    if not (directory / CONFIG_NAME).is_file():
        raise ModelError(
            f"{directory} has no {CONFIG_NAME}: name a folder that transformers saved, one that mlapi model "
            "pull made, or a model of a hub as OWNER/NAME"
        )
    config = _config(directory / CONFIG_NAME)
    try:
        check_config(config)
    except ModelError as error:
        raise ModelError(f"{directory}: {error}") from None
    earlier = _earlier(directory)
    source = read_source(directory) or (None if earlier is None else earlier.source)
    model = load_model(directory, allow_pickle=_is_pickle(directory, source))
    tokenizer = read_tokenizer(directory)
    if max(tokenizer.get_vocab().values(), default=0) >= int(model.config.vocab_size):
        raise ModelError(
            f"{directory}: the tokenizer gives ids that the model has no embedding for "
            f"({model.config.vocab_size} of them); take the tokenizer that the model was trained with"
        )
    labels = tuple(str(model.config.id2label[index]) for index in range(len(model.config.id2label)))
    return Incoming(
        model=model,
        tokenizer=tokenizer,
        labels=labels,
        name=as_name((source.repository.rpartition("/")[2] if source else "") or directory.resolve().name)
        if earlier is None
        else earlier.name,
        max_length=None if earlier is None else earlier.max_length,
        training=None if earlier is None else earlier.training,
        source=source,
    )


def read_tokenizer(directory: Path) -> Tokenizer:
    """Read `tokenizer.json`, or let transformers make a fast tokenizer from the files that are there.

    Raises:
        ModelError: Neither is possible.
    """
    from tokenizers import Tokenizer

    path = directory / TOKENIZER
    if path.is_file():
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ModelError(
                f"{path} cannot be read as a tokenizer; save it anew with transformers"
            ) from error
    unusable = ModelError(
        f"{directory} has no {TOKENIZER}, and transformers can make none of what is there; save the model's "
        "fast tokenizer into it with save_pretrained"
    )
    if not any((directory / name).is_file() for name in VOCABULARIES):
        raise unusable
    from transformers import AutoTokenizer

    try:
        with quiet():
            made: Any = AutoTokenizer.from_pretrained(
                directory, local_files_only=True, trust_remote_code=False, use_fast=True
            )
        tokenizer: Tokenizer = made.backend_tokenizer
    except Exception as error:  # transformers raises whatever the files provoke
        raise unusable from error
    return tokenizer


def as_name(words: str) -> str:
    """Turn anything into what a manifest takes for a name."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", words)[:LONGEST_NAME].lstrip("._-")
    return name or "model"


@dataclass(frozen=True, slots=True)
class _Earlier:
    name: str
    max_length: int | None
    training: Training | None
    source: Source | None


def _earlier(directory: Path) -> _Earlier | None:
    """Return what a manifest says, once the files that define the answers are proven to be its own."""
    if not (directory / MANIFEST_NAME).is_file():
        return None
    opened = ModelDirectory.open(directory)
    opened.verify([CONFIG_NAME, *opened.manifest.base_files])
    opened.verify_labels()
    manifest = opened.manifest
    return _Earlier(manifest.name, manifest.max_length, manifest.training, manifest.source)


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"{path} is no JSON object; save the model anew with save_pretrained")
    return config


def _is_pickle(directory: Path, source: Source | None) -> bool:
    """Tell whether the weights are a pickle, which only a pull with --allow-pickle may bring."""
    if any((directory / name).is_file() for name in SAFETENSORS):
        return False
    if not (directory / PICKLE).is_file():
        raise ModelError(f"{directory} has no {SAFETENSORS[0]}; save the model anew with save_pretrained")
    if source is None or PICKLE not in source.files:
        raise ModelError(
            f"{directory} has its weights in {PICKLE} alone, a pickle, which can carry code: save the model "
            "anew with save_pretrained, or fetch it with mlapi model pull --allow-pickle"
        )
    return True
