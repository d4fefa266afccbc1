"""Keys and values of the cache."""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlapi.cache.codec import KeyMaker, decode_prediction, encode_prediction
from mlapi.types import ModelInfo, ModelVersion, Prediction, VariantId

if TYPE_CHECKING:
    from typing import Any

INFO = ModelInfo(
    name="starter",
    version=ModelVersion("0123456789abcdef"),
    variant="onnx-int8",
    variant_id=VariantId("fedcba9876543210"),
    engine="onnx",
    labels=("NEGATIVE", "POSITIVE"),
    max_length=512,
    activation="softmax",
)
PREDICTION = Prediction((0.25, 0.75), truncated=True)

probabilities = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20).map(tuple)
predictions = st.builds(Prediction, probabilities, st.booleans())


def test_key_is_readable_then_binary() -> None:
    """An operator could no longer tell from a key which model it belongs to."""
    key = KeyMaker(INFO)("good")
    prefix = b"mlapi:1:0123456789abcdef:fedcba9876543210:512:"
    assert key.startswith(prefix)
    assert len(key) == len(prefix) + 16


def test_key_is_stable() -> None:
    """A release would read nothing of what the release before it stored."""
    assert KeyMaker(INFO)("good")[-16:].hex() == "8cb260423daf712f1ab029cd2492fa12"  # b2sum -l 128


@pytest.mark.parametrize(
    "change",
    [
        {"version": ModelVersion("x")},
        {"variant_id": VariantId("x")},
        {"max_length": 128},
        {"max_length": None},
    ],
)
def test_key_changes_with_the_model(change: dict[str, Any]) -> None:
    """One model would be given another's answers."""
    assert KeyMaker(dataclasses.replace(INFO, **change))("good") != KeyMaker(INFO)("good")


@given(st.text(st.characters()), st.text(st.characters()))
def test_keys_are_equal_for_equal_texts_only(one: str, other: str) -> None:
    """A text would be answered with what the model said of another, or lone surrogates would be an error."""
    make = KeyMaker(INFO)
    assert (make(one) == make(other)) == (one == other)


@pytest.mark.parametrize("text", ["\ud800", "\udcff and more", "\x00", "", "é", "e\u0301"])
def test_key_of_odd_text(text: str) -> None:
    """A text that is not valid Unicode, or empty, would fail the request instead of being looked up."""
    assert KeyMaker(INFO)(text) != KeyMaker(INFO)("?")


@given(predictions)
def test_round_trip_is_exact(prediction: Prediction) -> None:
    """A cached answer would differ from the computed one."""
    data = encode_prediction(prediction)
    assert decode_prediction(data, len(prediction.probabilities)) == prediction


@given(predictions, st.data())
def test_other_lengths_are_a_miss(prediction: Prediction, data: st.DataObject) -> None:
    """A value cut short, or of a model with other labels, would be read as an answer."""
    encoded = encode_prediction(prediction)
    labels = data.draw(st.integers(0, 30).filter(lambda n: n != len(prediction.probabilities)))
    assert decode_prediction(encoded, labels) is None
    end = data.draw(st.integers(0, len(encoded) - 1))
    assert decode_prediction(encoded[:end], len(prediction.probabilities)) is None
    assert decode_prediction(encoded + b"\x00", len(prediction.probabilities)) is None


@given(st.binary(max_size=40), st.integers(0, 9))
def test_any_bytes_give_a_prediction_or_a_miss(data: bytes, labels: int) -> None:
    """Bytes that someone else wrote would fail the request or give a probability that is none."""
    prediction = decode_prediction(data, labels)
    if prediction is not None:
        assert len(prediction.probabilities) == labels
        assert all(0 <= probability <= 1 for probability in prediction.probabilities)


@given(st.binary(min_size=1, max_size=1), st.integers(0, 9))
def test_one_changed_byte_never_raises(byte: bytes, place: int) -> None:
    """A flipped byte would be an error instead of a miss or another number."""
    encoded = bytearray(encode_prediction(PREDICTION))
    encoded[place : place + 1] = byte
    decoded = decode_prediction(bytes(encoded), 2)
    if place < 2 and bytes(encoded) != encode_prediction(PREDICTION) and not (place == 1 and byte == b"\x00"):
        assert decoded is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.001, 1.001])
def test_numbers_that_are_no_probability_are_a_miss(number: float) -> None:
    """A client would be sent a score that is not a number from 0 to 1."""
    assert decode_prediction(struct.pack("<BB2f", 1, 0, 0.5, number), 2) is None


def test_layout_is_documented() -> None:
    """Replicas of different releases would misread each other's values."""
    assert encode_prediction(PREDICTION).hex() == "0101" + "0000803e" + "0000403f"
