"""DistilBERT classifiers with random weights, of any size, and a tokenizer for them, all made here.

Freshly initialised transformers answer nearly the same to every text: a comparison of two engines on such a
model would pass whatever either did. So weights are drawn large enough that attention, positions and padding
all matter, and the last layer is scaled so that the logits of `TEXTS` are spread by `SPREAD`.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer
    from transformers import DistilBertForSequenceClassification

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SPREAD = 4.0
"""Between the highest and the lowest logit of a label over `TEXTS`."""

TEXTS = (
    "We came for the music and stayed for the story, which never lets go.",
    "Two hours of my evening that I would like to have back.",
    "Not the best thing the director has made, but far from the worst.",
    "The jokes are old. The actors look tired. The ending is no surprise.",
    "My daughter laughed, my mother cried, and I did a bit of both.",
    "How can a film with so much noise have so little to say?",
    "Quiet, slow, strange, and in the end rather beautiful.",
    "It's fine.",
    "No.",
    "Brilliant!!! 😍🎉 10/10",
    "🙂",
    "I don't know what the people at the next table saw, but it can't have been this film.",
    "naïve café jokes, déjà-vu plot, and still: charming",
    (
        "A careful, well-acted and at times very funny look at a family that cannot talk to one another, "
        "carried by its two leads and by a camera that always knows where to stand."
    ),
    "good good good good bad",
    "bad good good good good",
    "",
)
"""Sentences of many lengths, in our own words; two of them differ in the order of their words alone."""

LONG_TEXT = " ".join(TEXTS) + " " + " ".join(reversed(" ".join(TEXTS).split())) * 3
"""More than 512 tokens."""


@dataclass(frozen=True, slots=True)
class Size:
    """The dimensions of a DistilBERT."""

    layers: int
    width: int
    heads: int
    hidden: int
    vocabulary: int
    positions: int = 512


TINY = Size(layers=2, width=32, heads=4, hidden=64, vocabulary=600)
FULL = Size(layers=6, width=768, heads=12, hidden=3072, vocabulary=30522)
"""distilbert-base: 66 million parameters."""


def make_tokenizer(vocabulary: int) -> Tokenizer:
    """Make a lower-casing WordPiece tokenizer with exactly this many entries.

    Words of `TEXTS` have the highest ids, so that a large vocabulary is used to its end; between them and the
    special tokens lie entries that no text uses.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = string.ascii_lowercase + string.digits
    words = sorted(set(re.findall(r"[a-z]+", " ".join(TEXTS).lower())))
    tokens = [*string.punctuation, *letters, *(f"##{letter}" for letter in letters)]
    tokens += [word for word in words if word not in tokens]
    filler = [f"[unused{number}]" for number in range(vocabulary - len(SPECIAL) - len(tokens))]
    ids = {token: index for index, token in enumerate([*SPECIAL, *filler, *tokens])}
    assert len(ids) == vocabulary
    tokenizer = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    )
    return tokenizer


def make_model(
    size: Size, *, labels: Sequence[str] = ("NEGATIVE", "POSITIVE"), seed: int = 0
) -> DistilBertForSequenceClassification:
    """Make a classifier with random weights whose answers differ from text to text, in evaluation mode."""
    import torch
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(
        vocab_size=size.vocabulary,
        max_position_embeddings=size.positions,
        dim=size.width,
        n_layers=size.layers,
        n_heads=size.heads,
        hidden_dim=size.hidden,
        pad_token_id=0,
        # With this deviation a linear layer keeps the variance of what it gets.
        initializer_range=size.width**-0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DistilBertForSequenceClassification(config).eval()
    _spread(model, make_tokenizer(size.vocabulary))
    return model


def _spread(model: DistilBertForSequenceClassification, tokenizer: Tokenizer) -> None:
    """Scale and shift the last layer so that every label's logits over `TEXTS` lie in ±SPREAD / 2."""
    import torch

    with torch.inference_mode():
        rows = [model(torch.tensor([tokenizer.encode(text).ids])).logits[0] for text in TEXTS]
    logits = torch.stack(rows).clone()
    highest, lowest = logits.amax(dim=0), logits.amin(dim=0)
    factor = SPREAD / (highest - lowest)
    with torch.no_grad():
        model.classifier.weight.mul_(factor[:, None])
        model.classifier.bias.copy_((model.classifier.bias - (highest + lowest) / 2) * factor)
