"""A DistilBERT classifier with random weights, and a tokenizer for it: speed does not depend on training."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.shapes import FIRST_WORD_ID, padded_batch

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import DistilBertForSequenceClassification

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LABELS = ("NEGATIVE", "POSITIVE")
CALIBRATION_TEXTS = 30


@dataclass(frozen=True, slots=True)
class Size:
    """The dimensions of a DistilBERT."""

    layers: int
    width: int
    heads: int
    hidden: int
    vocabulary: int


SIZES = {
    "full": Size(layers=6, width=768, heads=12, hidden=3072, vocabulary=30522),
    "tiny": Size(layers=2, width=32, heads=4, hidden=64, vocabulary=600),
}
"""`full` is distilbert-base, 66,955,010 parameters; `tiny` is for trying the command."""


def make_model(size: Size) -> DistilBertForSequenceClassification:
    """Make the classifier, in evaluation mode; its logits differ from text to text by about one."""
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(
        vocab_size=size.vocabulary,
        dim=size.width,
        n_layers=size.layers,
        n_heads=size.heads,
        hidden_dim=size.hidden,
        pad_token_id=0,
        # With this deviation a linear layer keeps the variance of what it gets.
        initializer_range=size.width**-0.5,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    torch.manual_seed(0)
    model = DistilBertForSequenceClassification(config).eval()
    with torch.no_grad():
        rows = [model(torch.tensor([ids])).logits[0] for ids in padded_batch(size.vocabulary)]
        deviation, mean = torch.std_mean(torch.stack(rows), dim=0)
        model.classifier.weight.div_(deviation[:, None])
        model.classifier.bias.sub_(mean).div_(deviation)
    return model


def make_tokenizer(size: Size) -> Tokenizer:
    """Make a WordPiece tokenizer of exactly the model's vocabulary; from FIRST_WORD_ID on, `w` and the id."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = string.ascii_lowercase + string.digits
    tokens = [*SPECIAL, *string.punctuation, *letters, *(f"##{letter}" for letter in letters)]
    tokens += [f"[unused{index}]" for index in range(len(tokens), FIRST_WORD_ID)]
    tokens += [f"w{index}" for index in range(FIRST_WORD_ID, size.vocabulary)]
    ids = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token=SPECIAL[1]))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def texts(size: Size, *, count: int, lengths: tuple[int, int], seed: int) -> list[str]:
    """Return texts of random words.

    Args:
        size: Of the model whose tokenizer reads them.
        count: How many.
        lengths: Fewest and most tokens of a text, special tokens included.
        seed: Another seed gives other texts.
    """
    generator = np.random.default_rng(seed)
    shortest, longest = lengths
    words = [
        generator.integers(FIRST_WORD_ID, size.vocabulary, length - 2)
        for length in generator.integers(shortest, longest + 1, count)
    ]
    return [" ".join(f"w{index}" for index in row) for row in words]


def calibration_ids(size: Size) -> list[list[int]]:
    """Return what static quantisation looks at: token ids of texts of 4 to 128 tokens."""
    generator = np.random.default_rng(1)
    lengths = generator.integers(4, 129, CALIBRATION_TEXTS)
    return [generator.integers(FIRST_WORD_ID, size.vocabulary, length).tolist() for length in lengths]


def save(size: Size, directory: Path) -> None:
    """Write config.json, model.safetensors and, last, tokenizer.json."""
    from mlapi.training.directory import write_base_files

    write_base_files(make_model(size), make_tokenizer(size), directory)
