"""What a tokenizer is built from, and refused for; `tests/torch/test_vocabulary.py` compares the ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer

from mlapi.errors import ModelError
from mlapi.models.vocabulary import build_tokenizer, check_tokenizer
from tests.support.hub_models import CONFIG, VOCABULARY, as_json

if TYPE_CHECKING:
    from pathlib import Path


def _files(tmp_path: Path, vocabulary: tuple[str, ...] = VOCABULARY, **settings: Any) -> dict[str, Path]:
    files = {"vocab.txt": "".join(f"{piece}\n" for piece in vocabulary).encode()}
    files.update({f"{name}.json": as_json(value) for name, value in settings.items()})
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in files}


def _tokens(text: str, files: dict[str, Path]) -> list[str]:
    return Tokenizer.from_str(build_tokenizer(CONFIG, files)).encode(text).tokens[1:-1]


def test_the_settings_beside_a_vocabulary_count(tmp_path: Path) -> None:
    """If it fails, a cased model is read in lower case, or the other way round."""
    assert _tokens("The good é", _files(tmp_path)) == ["the", "good", "e"]
    cased = _files(tmp_path, tokenizer_config={"do_lower_case": False})
    assert _tokens("The good é", cased) == ["[UNK]", "good", "é"]
    accents = _files(tmp_path, tokenizer_config={"do_lower_case": True, "strip_accents": False})
    assert _tokens("The good é", accents) == ["the", "good", "é"]
    assert _tokens("中国", _files(tmp_path)) == ["中", "国"]
    joined = _files(tmp_path, tokenizer_config={"tokenize_chinese_chars": False})
    assert _tokens("中国", joined) == ["[UNK]"]


def test_special_tokens_are_never_split(tmp_path: Path) -> None:
    """If it fails, special and added tokens in a text fall apart into letters."""
    added = _files(tmp_path, added_tokens={"<new>": len(VOCABULARY)})
    assert _tokens("good[MASK]<new>", added) == ["good", "[MASK]", "<new>"]


def test_nothing_of_padding_or_truncation_is_set(tmp_path: Path) -> None:
    """If it fails, a directory carries what belongs to serving."""
    built = json.loads(build_tokenizer(CONFIG, _files(tmp_path)))
    assert (built["padding"], built["truncation"]) == (None, None)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tokenizer_config": {"tokenizer_class": "BertJapaneseTokenizer"}}, "BertJapaneseTokenizer"),
        ({"tokenizer_config": {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}}}, "cannot be built"),
        ({"tokenizer_config": []}, "tokenizer_config.json is not a JSON object"),
        ({"tokenizer_config": {"cls_token": "<none>"}}, "no entry for cls_token"),
        ({"added_tokens": {"<new>": 4711}}, "another id than 4711"),
        ({"tokenizer_config": {"do_lower_case": "perhaps"}}, "cannot be read as a vocabulary"),
    ],
)
def test_what_would_give_other_ids_is_refused(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    """If it fails, a tokenizer is guessed, and every score of the model is wrong."""
    with pytest.raises(ModelError, match=says):
        build_tokenizer(CONFIG, _files(tmp_path, **settings))


def test_a_class_that_the_model_names_counts(tmp_path: Path) -> None:
    """If it fails, a model whose config.json names its tokenizer gets another one."""
    with pytest.raises(ModelError, match="BertJapaneseTokenizer"):
        build_tokenizer({**CONFIG, "tokenizer_class": "BertJapaneseTokenizer"}, _files(tmp_path))
    build_tokenizer({**CONFIG, "tokenizer_class": "DistilBertTokenizerFast"}, _files(tmp_path))


def test_a_vocabulary_that_cannot_be_read(tmp_path: Path) -> None:
    """If it fails, broken vocabulary files end in a traceback."""
    (tmp_path / "vocab.json").write_bytes(b"{")
    (tmp_path / "merges.txt").write_bytes(b"")
    files = {name: tmp_path / name for name in ("vocab.json", "merges.txt")}
    with pytest.raises(ModelError, match=r"vocab\.json and merges\.txt cannot be read"):
        build_tokenizer({**CONFIG, "model_type": "roberta"}, files)


def test_a_tokenizer_file_is_tried(tmp_path: Path) -> None:
    """If it fails, a broken tokenizer.json is found out when it is served."""
    path = tmp_path / "tokenizer.json"
    path.write_text(build_tokenizer(CONFIG, _files(tmp_path)), encoding="utf-8")
    check_tokenizer(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match="cannot be read as a tokenizer"):
        check_tokenizer(path)
