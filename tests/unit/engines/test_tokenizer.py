from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer

from mlapi.engines.tokenizer import FastTokenizer
from mlapi.errors import ModelError
from tests.support.model_directory import PLAIN, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

CLS, SEP = 2, 3
MAX_LENGTH = 8


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a `tokenizer.json` that the test may spoil."""
    return make_tiny_model(tmp_path / "model").path / "tokenizer.json"


@pytest.fixture
def tokenizer(path: Path) -> FastTokenizer:
    """Return a tokenizer that cuts at eight tokens, special ones included."""
    return FastTokenizer(path, max_length=MAX_LENGTH)


def test_text_becomes_ids_between_special_tokens(tokenizer: FastTokenizer, path: Path) -> None:
    """If it fails, the model is fed other tokens than it was trained on."""
    vocabulary = Tokenizer.from_file(str(path)).get_vocab()
    (encoding,) = tokenizer.encode(["The FILM is gr8!"])
    words = ["[CLS]", "the", "film", "is", "g", "##r", "##8", "[SEP]"]
    assert encoding.payload == [vocabulary[word] for word in words]
    assert encoding.length == 8
    assert encoding.truncated  # the exclamation mark no longer fits


@pytest.mark.parametrize(
    ("words", "length", "truncated"), [(5, 7, False), (6, 8, False), (7, 8, True), (70, 8, True)]
)
def test_only_texts_over_the_maximum_length_are_truncated(
    tokenizer: FastTokenizer, words: int, length: int, *, truncated: bool
) -> None:
    """If it fails, X-Truncated counts wrong by one token, or a text longer than the model reaches it."""
    (encoding,) = tokenizer.encode([" ".join(["film"] * words)])
    assert isinstance(encoding.payload, list)
    assert (encoding.length, encoding.truncated) == (length, truncated)
    assert len(encoding.payload) == length
    assert (encoding.payload[0], encoding.payload[-1]) == (CLS, SEP)


def test_the_end_of_a_long_text_is_cut_not_its_beginning(tokenizer: FastTokenizer) -> None:
    """If it fails, long texts are judged by other words than transformers would judge them by."""
    beginning, whole = tokenizer.encode(
        ["this film is very very good", "this film is very very good but it was bad"]
    )
    assert whole.payload == beginning.payload
    assert whole.truncated
    assert not beginning.truncated


def test_texts_stay_in_order_and_unpadded(tokenizer: FastTokenizer) -> None:
    """If it fails, answers go to other texts, or padding is paid for twice."""
    encodings = tokenizer.encode(["film", "the film", "the good film", ""])
    assert [encoding.length for encoding in encodings] == [3, 4, 5, 2]
    assert [len(encoding.payload) for encoding in encodings] == [3, 4, 5, 2]


def test_no_texts_give_no_encodings(tokenizer: FastTokenizer) -> None:
    """If it fails, an empty request crashes."""
    assert tokenizer.encode([]) == []


@pytest.mark.parametrize("direction", ["left", "right"])
def test_padding_and_truncation_saved_in_the_file_are_ignored(path: Path, direction: str) -> None:
    """If it fails, whoever saved the tokenizer decides how the service pads and where it cuts."""
    saved = Tokenizer.from_file(str(path))
    saved.enable_padding(length=64, direction=direction)
    saved.enable_truncation(4, stride=1, direction=direction)
    text = "this film is very very good but it was bad"
    expected = FastTokenizer(path, max_length=MAX_LENGTH).encode(["film", text])
    saved.save(str(path))
    assert FastTokenizer(path, max_length=MAX_LENGTH).encode(["film", text]) == expected


def test_several_threads_get_what_one_thread_gets(tokenizer: FastTokenizer) -> None:
    """If it fails, concurrent requests receive each other's tokens, or the library panics."""
    texts = [" ".join(PLAIN[: 1 + number % len(PLAIN)]) + f" {number}" for number in range(200)]
    expected = tokenizer.encode(texts)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(tokenizer.encode, [texts] * 32):
            assert result == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t",
        "\0",
        "a\0b",
        "🙂",
        "👩‍👩‍👧‍👦 🇩🇪",
        "é́́",
        "العربية",
        "漢字",
        "\u202e",
        "\ufffd",
        "\U0010ffff",
        "x" * 10_000,
    ],
)
def test_odd_texts_are_encoded(tokenizer: FastTokenizer, text: str) -> None:
    """If it fails, a text that the API takes breaks the request, or the batch of other people's texts."""
    (encoding,) = tokenizer.encode([text])
    assert isinstance(encoding.payload, list)
    assert (encoding.payload[0], encoding.payload[-1]) == (CLS, SEP)
    assert 2 <= encoding.length <= MAX_LENGTH


def test_very_long_text_is_cut(path: Path) -> None:
    """If it fails, a text at the character limit comes out longer than the model."""
    (encoding,) = FastTokenizer(path, max_length=512).encode(["very good film " * 50_000])
    assert encoding.length == 512
    assert encoding.truncated


def test_shortest_possible_maximum_leaves_the_special_tokens(path: Path) -> None:
    """If it fails, the smallest max_length that a manifest may give crashes the library."""
    tokenizer = FastTokenizer(path, max_length=2)
    assert [encoding.payload for encoding in tokenizer.encode(["", "film"])] == [[CLS, SEP]] * 2
    assert [encoding.truncated for encoding in tokenizer.encode(["", "film"])] == [False, True]


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\xff\xfe", b'{"model": {"type": "WordPiece"}}'])
def test_unreadable_file_is_named(path: Path, content: bytes) -> None:
    """If it fails, a damaged tokenizer ends in the library's bare exception, without the file's name."""
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        FastTokenizer(path, max_length=MAX_LENGTH)
    assert str(caught.value) == f"{path} cannot be read as a tokenizer; make the model directory anew"


def test_missing_file_is_named(tmp_path: Path) -> None:
    """If it fails, a directory without a tokenizer ends in the library's bare exception."""
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        FastTokenizer(tmp_path / "tokenizer.json", max_length=MAX_LENGTH)
