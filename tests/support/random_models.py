"""Classifiers with random weights, of any size and architecture, and tokenizers for them, all made here.

Freshly initialised transformers answer nearly the same to every text: a comparison of two engines on such a
model would pass whatever either did. So weights are drawn large enough that attention, positions and padding
all matter, and the last layer is scaled so that the logits of `TEXTS` are spread by `SPREAD`.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenizers import Tokenizer
    from transformers import DistilBertForSequenceClassification, PreTrainedModel

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


@dataclass(frozen=True, slots=True)
class Family:
    """One of the architectures that are served, as small as it goes.

    Attributes:
        prefix: Of its classes in transformers.
        tokenizer: Which kind of tokenizer it has.
        special: Its special tokens, by what they are for; their ids are their places.
        options: What its configuration needs beyond `SMALL`.
    """

    prefix: str
    tokenizer: Literal["wordpiece", "bytes", "unigram"]
    special: Mapping[str, str]
    options: Mapping[str, Any]


BERT_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA_TOKENS = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
    # With this deviation a linear layer keeps the variance of what it gets.
    "initializer_range": 32**-0.5,
}
FAMILIES = {
    "distilbert": Family(
        "DistilBert", "wordpiece", BERT_TOKENS, {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    ),
    "bert": Family("Bert", "wordpiece", BERT_TOKENS, {}),
    # MiniLM is BERT, narrow and deep.
    "minilm": Family("Bert", "wordpiece", BERT_TOKENS, {"num_hidden_layers": 4, "num_attention_heads": 2}),
    "roberta": Family(
        "Roberta", "bytes", ROBERTA_TOKENS, {"max_position_embeddings": 514, "type_vocab_size": 1}
    ),
    "xlm-roberta": Family(
        "XLMRoberta", "unigram", ROBERTA_TOKENS, {"max_position_embeddings": 514, "type_vocab_size": 1}
    ),
    "electra": Family("Electra", "wordpiece", BERT_TOKENS, {"embedding_size": 16}),
    "albert": Family("Albert", "unigram", BERT_TOKENS, {"embedding_size": 16}),
    "deberta-v2": Family(
        "DebertaV2",
        "unigram",
        BERT_TOKENS,
        {
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
        },
    ),
}
"""Every supported architecture, by name."""


def make_family(
    name: str,
    *,
    labels: Sequence[str] = ("NEGATIVE", "POSITIVE"),
    problem_type: str | None = None,
    seed: int = 0,
) -> tuple[PreTrainedModel, Tokenizer]:
    """Make a small classifier of an architecture, in evaluation mode, and a tokenizer of its kind."""
    import torch
    import transformers

    family = FAMILIES[name]
    tokenizer = _make_tokenizer(family)
    ids = {use: tokenizer.token_to_id(token) for use, token in family.special.items()}
    config = getattr(transformers, f"{family.prefix}Config")(
        **{**SMALL, **family.options},
        vocab_size=tokenizer.get_vocab_size(),
        pad_token_id=ids["pad"],
        bos_token_id=ids["cls"],
        eos_token_id=ids["sep"],
        problem_type=problem_type,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = getattr(transformers, f"{family.prefix}ForSequenceClassification")(config)
    _spread(model.train(mode=False), tokenizer)
    return model, tokenizer


def _make_tokenizer(family: Family) -> Tokenizer:
    """Learn a vocabulary on `TEXTS`, or take the WordPiece one, and put the special tokens around a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    if family.tokenizer == "wordpiece":
        return make_tokenizer(TINY.vocabulary)
    special = list(family.special.values())
    trainer: Any
    if family.tokenizer == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=300, special_tokens=special, unk_token=family.special["unk"], show_progress=False
        )
    tokenizer.train_from_iterator(TEXTS, trainer)
    ends = (family.special["cls"], family.special["sep"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{ends[0]} $A {ends[1]}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ends],
    )
    return tokenizer


def _spread(model: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Scale and shift the last layer so that every label's logits over `TEXTS` lie in ±SPREAD / 2."""
    import torch

    with torch.inference_mode():
        rows = [model(torch.tensor([tokenizer.encode(text).ids])).logits[0] for text in TEXTS]
    logits = torch.stack(rows).clone()
    highest, lowest = logits.amax(dim=0), logits.amin(dim=0)
    factor = SPREAD / (highest - lowest)
    last: Any = getattr(model.classifier, "out_proj", model.classifier)
    with torch.no_grad():
        last.weight.mul_(factor[:, None])
        last.bias.copy_((last.bias - (highest + lowest) / 2) * factor)
