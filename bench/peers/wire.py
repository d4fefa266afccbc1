"""The JSON that peers read and write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.load.request import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.peer import Scores


def text_request(text: str) -> Request:
    """`{"text": …}`, which the servers read that were written for the comparison."""
    return Request("/predict", _json({"text": text}))


def texts_request(texts: Sequence[str]) -> Request:
    """`{"texts": […]}`, answered by a list in the same order."""
    return Request("/predict-bulk", _json({"texts": list(texts)}), texts=len(texts))


def best_label(body: bytes) -> Scores:
    """Read `{"label": …, "score": …}`, as the pipeline gives it."""
    return [_pair(json.loads(body))]


def all_labels(body: bytes) -> Scores:
    """Read `[{"label": …, "score": …}, …]`."""
    return [_pair(entry) for entry in json.loads(body)]


def many_labels(body: bytes) -> list[Scores]:
    """Read a list of what `all_labels` reads."""
    return [[_pair(entry) for entry in labels] for labels in json.loads(body)]


def infinity_request(text: str) -> Request:
    """One text for infinity's `classify` route."""
    return infinity_requests([text])


def infinity_requests(texts: Sequence[str]) -> Request:
    """Many texts for the same route; it takes 2,048 at most."""
    return Request("/classify", _json({"input": list(texts), "model": "model"}), texts=len(texts))


def infinity_scores(body: bytes) -> Scores:
    """Read the labels of one text."""
    (scores,) = infinity_bulk_scores(body)
    return scores


def infinity_bulk_scores(body: bytes) -> list[Scores]:
    """Read the labels of each text."""
    return [[_pair(entry) for entry in labels] for labels in json.loads(body)["data"]]


def mlserver_request(text: str) -> Request:
    """One text in the Open Inference Protocol, version 2."""
    return mlserver_requests([text])


def mlserver_requests(texts: Sequence[str]) -> Request:
    """Many texts in the same protocol; the runtime batches inputs of this name only."""
    tensor = {"name": "array_inputs", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return Request("/v2/models/classifier/infer", _json({"inputs": [tensor]}), texts=len(texts))


def mlserver_scores(body: bytes) -> Scores:
    """Read the best label of one text."""
    (scores,) = mlserver_bulk_scores(body)
    return scores


def mlserver_bulk_scores(body: bytes) -> list[Scores]:
    """Read the best label of each text; each element of the tensor is JSON of its own."""
    return [[_pair(json.loads(element))] for element in json.loads(body)["outputs"][0]["data"]]


def _pair(entry: dict[str, Any]) -> tuple[str, float]:
    return str(entry["label"]), float(entry["score"])


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
