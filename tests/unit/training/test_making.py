"""What an export keeps when quantising goes wrong half-way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlapi.errors import GateFailed, ModelError
from mlapi.training import making, quantize, remedies
from mlapi.training.export_progress import Silent
from mlapi.training.making import Making

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("onnx-int8", "openvino-int8")


@pytest.mark.parametrize("made", [0, 1])
def test_a_quantiser_that_gives_up_takes_nothing_else_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: int
) -> None:
    """If this fails, a remedy that cannot be computed costs the variants that had passed, float32 too."""

    def attempts(_: object) -> Iterator[tuple[str | None, str]]:
        yield from [(None, "graph")] * made
        raise ModelError("the graph cannot be quantised")

    def tried(*_: object, **__: object) -> tuple[dict[str, Any], dict[str, Exception]]:
        return {"openvino-int8": "a trial"}, {"onnx-int8": GateFailed("too far off")}

    monkeypatch.setattr(remedies, "attempts", attempts)
    monkeypatch.setattr(quantize, "Quantizer", lambda *_: None)
    monkeypatch.setattr(making, "save_graph", lambda *_: None)
    monkeypatch.setattr(making, "float_weights", lambda _: ())
    for name, method in {"_tried": tried, "_reference": lambda _: None, "_samples": lambda _: []}.items():
        monkeypatch.setattr(Making, name, method)
    texts: Any = None
    one = Making(tmp_path, name="one", max_length=16, texts=texts, threads=1, watcher=Silent())
    one.int8_variants(NAMES)
    if made:
        assert list(one.passed) == ["openvino-int8"]
        assert one.refused == {"onnx-int8": "too far off"}
    else:
        assert not one.passed
        assert one.refused == dict.fromkeys(NAMES, "the graph cannot be quantised")
