"""Building `tokenizer.json` from the vocabulary files of a model that has none.

The result gives the ids that the tokenizer classes of transformers give with the same files: `BertTokenizer`
and its kin for WordPiece, `RobertaTokenizer` for byte-level BPE.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlapi.errors import ModelError
from mlapi.models.special_tokens import add_tokens, read_settings, special_tokens

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

WORDPIECE = ("distilbert", "bert", "electra")
BYTE_LEVEL = ("roberta",)
"""By `model_type`. The others of the family keep their vocabulary in a SentencePiece file alone."""

VOCABULARY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(WORDPIECE, ("vocab.txt",)),
    **dict.fromkeys(BYTE_LEVEL, ("vocab.json", "merges.txt")),
}
"""By `model_type`, the files that a tokenizer is built from."""

CLASSES = {
    **dict.fromkeys(WORDPIECE, ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")),
    **dict.fromkeys(BYTE_LEVEL, ("RobertaTokenizer",)),
}
"""By `model_type`, the tokenizer classes that are understood, without the `Fast` at the end of some."""

BERT_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
ROBERTA_TOKENS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}


def build_tokenizer(config: Mapping[str, Any], files: Mapping[str, Path]) -> str:
    """Build a tokenizer and return it in the form of `tokenizer.json`.

    Args:
        config: The model's `config.json`.
        files: By name, those of `VOCABULARY` for its model type, and those of `SETTINGS` that there are.

    Raises:
        ModelError: The tokenizer is of a class that is not understood, or the files contradict each other.
    """
    settings = read_settings(files, "tokenizer_config.json")
    model_type = str(config["model_type"])
    named = settings.get("tokenizer_class") or config.get("tokenizer_class")
    if "auto_map" in settings or (named and str(named).removesuffix("Fast") not in CLASSES[model_type]):
        raise ModelError(
            f"there is no tokenizer.json, and the tokenizer class {named} cannot be built from a "
            "vocabulary; save the model's fast tokenizer with transformers and upload its tokenizer.json"
        )
    try:
        build = _wordpiece if model_type in WORDPIECE else _byte_level
        return build(files, settings).to_str()
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception
        raise ModelError(
            f"{' and '.join(VOCABULARY[model_type])} cannot be read as a vocabulary: {error}"
        ) from None


def check_tokenizer(path: Path) -> None:
    """Check that a `tokenizer.json` can be loaded.

    Raises:
        ModelError: It cannot.
    """
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001 - the library raises bare Exception
        raise ModelError(
            "tokenizer.json cannot be read as a tokenizer; report it to the model's authors"
        ) from None


def _wordpiece(files: Mapping[str, Path], settings: dict[str, Any]) -> Tokenizer:
    """As `BertTokenizer` of transformers builds it."""
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    special = special_tokens(files, settings, BERT_TOKENS)
    vocabulary = WordPiece.read_file(str(files["vocab.txt"]))
    _require(vocabulary, special, "vocab.txt")
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=str(special["unk_token"])))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    add_tokens(tokenizer, files, settings, special)
    cls, sep = str(special["cls_token"]), str(special["sep_token"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    return tokenizer


def _byte_level(files: Mapping[str, Path], settings: dict[str, Any]) -> Tokenizer:
    """As `RobertaTokenizer` of transformers builds it."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import BPE

    special = special_tokens(files, settings, ROBERTA_TOKENS)
    vocabulary, merges = BPE.read_file(str(files["vocab.json"]), str(files["merges.txt"]))
    _require(vocabulary, special, "vocab.json")
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix="",
            fuse_unk=False,
        )
    )
    prefix_space = settings.get("add_prefix_space", False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    add_tokens(tokenizer, files, settings, special)
    sep, cls = str(special["sep_token"]), str(special["cls_token"])
    tokenizer.post_processor = processors.RobertaProcessing(
        (sep, vocabulary[sep]), (cls, vocabulary[cls]), settings.get("trim_offsets", True), prefix_space
    )
    return tokenizer


def _require(vocabulary: Mapping[str, int], special: Mapping[str, AddedToken], file: str) -> None:
    missing = [
        name for name in ("unk_token", "cls_token", "sep_token") if special[name].content not in vocabulary
    ]
    if missing:
        raise ModelError(f"{file} has no entry for {', '.join(missing)}; correct the model at its source")
