"""A tiny BERT encoder with random weights, in the files that a hub's encoder has, made in milliseconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlapi.training.altering import DENIALS, JOINTS
from tests.support.labelled_texts import BLAME, FRAMES, PRAISE, THINGS

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'-"
LAYERS = 3


def bert_tokenizer() -> Tokenizer:
    """Make a lower-casing WordPiece tokenizer with every letter and the words of our labelled texts."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = " ".join([*FRAMES, *THINGS, *PRAISE, *BLAME, *JOINTS, *DENIALS])
    pieces = [*SPECIAL, "[unused0]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    pieces += [word for word in dict.fromkeys(re.findall(r"[a-z]+", words.lower())) if word not in pieces]
    ids = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def write_encoder(directory: Path, *, width: int = 32, dropout: float = 0.1) -> Path:
    """Write `config.json`, `tokenizer.json` and `model.safetensors` of a BERT with `LAYERS` layers."""
    from transformers import BertModel

    return _write(BertModel, directory, width=width, dropout=dropout)


def write_classifier(directory: Path) -> Path:
    """Write the same files of such a BERT with a head for NEGATIVE and POSITIVE."""
    from transformers import BertForSequenceClassification

    labels = ("NEGATIVE", "POSITIVE")
    return _write(
        BertForSequenceClassification,
        directory,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )


def _write(kind: Any, directory: Path, *, width: int = 32, dropout: float = 0.1, **options: Any) -> Path:
    import torch
    from transformers import BertConfig

    from mlapi.training.quiet import quiet

    tokenizer = bert_tokenizer()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=64,
        initializer_range=width**-0.5,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=0,
        **options,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config)
    with quiet():
        model.save_pretrained(directory)
    tokenizer.enable_padding(length=32)  # as the files of some encoders do
    tokenizer.enable_truncation(16)
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory
