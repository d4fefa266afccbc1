"""Tokenizers built from a vocabulary give the ids that transformers' own give with the same files."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer

from mlapi.models.vocabulary import build_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch

WORDS = ("the", "film", "is", "good", "bad", "un", "happy", "ness", "love", "hate", "my", "naive", "resume")
LETTERS = (
    "abcdefghijklmnopqrstuvwxyzäöüßéèñçæøđ\u0131şğ0123456789'\u2019\"-\u2013\u2014.,:;!?()[]{}<>@#$%&*_+=/"
    "\\|~^`\u20ac£中国日本語한글ру"
)
TEXTS = (
    *("", " ", "\t\n\r ", "a", "The FILM is good.", "unhappiness", "I've been   waiting", "naïve résumé Öl"),
    *(
        "don't... stop!!",
        "中国的film日本語",
        "한글 русский",
        "e\u0301 and \u00e9",
        "İstanbul \u0131 ŞĞ",
        "ﬁne ½ ² ™",
    ),
    *(
        "🤗 Transformers 👩\u200d👩\u200d👧",
        "\u200bzero\u200dwidth\u00a0space\ufeff",
        "a\x00b\x07c\ufffdd",
        "\u202eabc",
    ),
    *("[CLS] the [SEP] [MASK] film [UNK][PAD]", "<s> the </s><mask>film <mask> <pad><unk>", "[cls] [mask]"),
    *(
        "x" * 101,
        "x" * 100,
        "the" * 60,
        "http://a.b/c?d=e&f=%20",
        "ǅ ß ẞ Σίσυφος",
        "  leading and trailing  ",
    ),
    *("extra EXTRA ext ra", "<|new|> a<|new|>b"),
)


def _odd_texts() -> list[str]:
    """Return the texts above and many random ones of all sorts of characters."""
    chance = random.Random(7)
    alphabet = LETTERS + LETTERS.upper() + "     \t\n\u00a0\u0301\u200d🤗"
    made = ["".join(chance.choices(alphabet, k=chance.randrange(60))) for _ in range(300)]
    anywhere = [
        "".join(
            chr(chance.choice((chance.randrange(0x20, 0xD800), chance.randrange(0xE000, 0x20000))))
            for _ in "x" * 12
        )
        for _ in range(300)
    ]
    return [*TEXTS, *made, *anywhere, *(" ".join(chance.choices(WORDS, k=8)).title() for _ in range(100))]


def _wordpiece(folder: Path, **settings: Any) -> dict[str, Path]:
    letters = dict.fromkeys(LETTERS + LETTERS.upper())
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "Film", "extra"]
    pieces += [
        *letters,
        *(f"##{letter}" for letter in letters),
        "##ness",
        "##happy",
        "##ing",
        "½",
        "™",
    ]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return _with_settings(folder, ("vocab.txt",), settings)


def _byte_level(folder: Path, **settings: Any) -> dict[str, Path]:
    from tokenizers import pre_tokenizers

    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    merges = [
        "t h",
        "th e",
        "Ġ the",
        "f i",
        "fi l",
        "fil m",
        "Ġ film",
        "o o",
        "g oo",
        "goo d",
        "Ġ good",
        "Ġ a",
    ]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*specials, *alphabet, *(merge.replace(" ", "") for merge in merges)]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    return _with_settings(folder, ("vocab.json", "merges.txt"), settings)


def _with_settings(folder: Path, names: tuple[str, ...], settings: dict[str, Any]) -> dict[str, Path]:
    found = list(names)
    for name, value in settings.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
        found.append(f"{name}.json")
    return {name: folder / name for name in found}


def _same_ids(folder: Path, files: dict[str, Path], model_type: str) -> None:
    from transformers import AutoTokenizer

    config = {"model_type": model_type}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    reference = AutoTokenizer.from_pretrained(folder)
    built = Tokenizer.from_str(build_tokenizer(config, files))
    texts = _odd_texts()
    ours = [encoded.ids for encoded in built.encode_batch(texts)]
    assert ours == reference(texts)["input_ids"]
    assert len({tuple(ids) for ids in ours}) > len(texts) // 2  # not all of them unknown words


MASK = {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tokenizer_config": {"model_max_length": 512, "do_lower_case": True}},
        {"tokenizer_config": {"do_lower_case": False, "tokenizer_class": "BertTokenizer"}},
        {"tokenizer_config": {"do_lower_case": True, "strip_accents": False}},
        {
            "tokenizer_config": {
                "do_lower_case": False,
                "strip_accents": True,
                "tokenize_chinese_chars": False,
            }
        },
        {"special_tokens_map": {"mask_token": MASK, "unk_token": "[UNK]"}},
        {"special_tokens_map": {"cls_token": "the", "sep_token": "film"}},
        {
            "tokenizer_config": {
                "do_lower_case": True,
                "added_tokens_decoder": {"4": {**MASK, "special": True}},
                "mask_token": "[MASK]",
            },
            "special_tokens_map": {"mask_token": "the"},
        },
        {"tokenizer_config": {"additional_special_tokens": ["extra", "<|new|>"]}},
    ],
)
def test_wordpiece_gives_the_same_ids(tmp_path: Path, settings: dict[str, Any]) -> None:
    """If it fails, a model without tokenizer.json reads some texts otherwise than it was trained to."""
    _same_ids(tmp_path, _wordpiece(tmp_path, **settings), "distilbert")


@pytest.mark.parametrize("model_type", ["bert", "electra"])
def test_its_relatives_are_read_the_same_way(tmp_path: Path, model_type: str) -> None:
    """If it fails, BERT or ELECTRA is given DistilBERT's tokenizer although it has another."""
    _same_ids(tmp_path, _wordpiece(tmp_path), model_type)


def test_added_tokens_of_older_models_give_the_same_ids(tmp_path: Path) -> None:
    """If it fails, words that were added to a vocabulary fall apart, or stand for others."""
    files = _wordpiece(tmp_path)
    size = len(files["vocab.txt"].read_text(encoding="utf-8").splitlines())
    files = _wordpiece(tmp_path, added_tokens={"<|new|>": size, "EXTRA": size + 1})
    _same_ids(tmp_path, files, "bert")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tokenizer_config": {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizerFast"}},
        {"tokenizer_config": {"trim_offsets": False}},
        {"special_tokens_map": {"mask_token": {**MASK, "content": "<mask>"}, "bos_token": "<s>"}},
        {"tokenizer_config": {"additional_special_tokens": ["<|new|>"]}},
    ],
)
def test_byte_level_bpe_gives_the_same_ids(tmp_path: Path, settings: dict[str, Any]) -> None:
    """If it fails, a RoBERTa without tokenizer.json reads some texts otherwise than it was trained to."""
    _same_ids(tmp_path, _byte_level(tmp_path, **settings), "roberta")
