from __future__ import annotations

import asyncio
import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlapi.api import rendering
from mlapi.api.rendering import Renderer
from mlapi.types import Prediction

PROBABILITIES = st.floats(0, 1) | st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0, 0.5, 5e-324, 1e-7])


@settings(deadline=None)
@given(
    labels=st.lists(st.text(), min_size=1, max_size=5, unique=True),
    data=st.data(),
)
def test_json_reads_back_as_the_same_numbers(labels: list[str], data: st.DataObject) -> None:
    """If it fails, scores are rounded, labels garbled, or the order is wrong."""
    size = len(labels)
    rows = data.draw(st.lists(st.lists(PROBABILITIES, min_size=size, max_size=size), max_size=4))
    renderer = Renderer(labels)
    predictions = [Prediction(tuple(row), truncated=False) for row in rows]
    parsed = json.loads(asyncio.run(renderer.many(predictions)))
    assert list(parsed) == ["predictions"]
    for row, ranking in zip(rows, parsed["predictions"], strict=True):
        expected = sorted(zip(labels, row, strict=True), key=lambda pair: -pair[1])
        assert [(entry["label"], entry["score"]) for entry in ranking] == expected
    for prediction, ranking in zip(predictions, parsed["predictions"], strict=True):
        assert json.loads(renderer.single(prediction)) == {"prediction": ranking}


def test_of_equal_scores_the_lower_label_id_comes_first() -> None:
    """If it fails, the same text can be answered in two ways."""
    body = Renderer(("b", "a", "c")).single(Prediction((0.25, 0.25, 0.5), truncated=True))
    assert body == (
        b'{"prediction":[{"label":"c","score":0.5},{"label":"b","score":0.25},{"label":"a","score":0.25}]}'
    )


def test_float32_scores_stay_exact() -> None:
    """If it fails, a score read from the cache differs from the one that was computed."""
    value = float(np.float32(0.1))
    parsed = json.loads(Renderer(("a",)).single(Prediction((value,), truncated=False)))
    assert np.float32(parsed["prediction"][0]["score"]) == np.float32(0.1)


async def test_thousands_keep_their_order_and_let_others_run() -> None:
    """If it fails, a large answer is out of order, or holds up every other request while it is written."""
    count = 3 * rendering.PREDICTIONS_AT_ONCE + 1
    predictions = [Prediction((number / count,), truncated=False) for number in range(count)]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    body = await Renderer(("a",)).many(predictions)
    task.cancel()
    scores = [ranking[0]["score"] for ranking in json.loads(body)["predictions"]]
    assert scores == [number / count for number in range(count)]
    assert turns >= 3


async def test_no_predictions() -> None:
    """If it fails, an empty list of texts is answered with malformed JSON."""
    assert await Renderer(("a",)).many([]) == b'{"predictions":[]}'
