"""Runs an `openvino.Model` on batches of token ids, with padding or without, as its inputs ask for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from mlapi.engines.openvino import import_openvino, shared_core
from mlapi.engines.packing import pack_batch
from mlapi.engines.padding import pad_batch
from mlapi.engines.unpadding import ANSWERED, ASKED, FIRST, PLACES, TOKENS, unpad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MULTIPLE = 16


class Runner:
    """A compiled model."""

    def __init__(self, model: Any, *, threads: int = 2, pad_id: int = 0) -> None:
        """Compile it as the engine does, in float32."""
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = shared_core().compile_model(model, "CPU", options)
        self._names = {node.any_name for node in compiled.inputs}
        self._request = compiled.create_infer_request()
        self._pad_id = pad_id

    def logits(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the logits of a batch, of shape (texts, labels)."""
        arrays = self._packed(batch) if TOKENS in self._names else self._padded(batch)
        arrays["token_type_ids"] = np.zeros_like(arrays["input_ids"])
        self._request.infer({name: arrays[name] for name in self._names})
        found: NDArray[np.float32] = self._request.get_tensor("logits").data[: len(batch)].copy()
        return found

    def _packed(self, batch: Sequence[Sequence[int]]) -> dict[str, NDArray[np.int64]]:
        packing = pack_batch(batch, pad_id=self._pad_id, multiple=MULTIPLE)
        return {
            "input_ids": packing.input_ids,
            "attention_mask": packing.attention_mask,
            TOKENS: packing.tokens,
            PLACES: packing.places,
            FIRST: packing.first,
            ASKED: packing.asked,
            ANSWERED: packing.answered,
        }

    def _padded(self, batch: Sequence[Sequence[int]]) -> dict[str, NDArray[np.int64]]:
        input_ids, attention_mask = pad_batch(batch, pad_id=self._pad_id, multiple=MULTIPLE)
        return {"input_ids": input_ids, "attention_mask": attention_mask}


def unpadded(model: Any) -> Any | None:
    """Return what `unpad` makes of a model."""
    import_module("openvino.opset13")
    return unpad(model, import_openvino())


def check_same_bits(model: Any, *, vocabulary: int, longest: int) -> None:
    """Assert that a model is changed, and gives the same logits as before; `batches` has the arguments."""
    changed = unpadded(model)
    assert changed is not None
    before, after = Runner(model), Runner(changed)
    for batch in batches(vocabulary=vocabulary, longest=longest):
        np.testing.assert_array_equal(after.logits(batch), before.logits(batch))


def batches(*, vocabulary: int, longest: int, count: int = 8, lowest: int = 1) -> list[list[list[int]]]:
    """Draw batches: a long text alone, a short one alone, then 1 to 17 texts, sometimes of a single length.

    Args:
        vocabulary: Token ids are smaller than this.
        longest: Most tokens of a text.
        count: How many batches.
        lowest: Smallest token id; smaller ones are special.
    """
    random = np.random.default_rng(count)
    drawn = [[random.integers(lowest, vocabulary, length).tolist()] for length in (longest, 3)]
    for number in range(2, count):
        lengths = random.integers(1, longest + 1, random.integers(1, 18))
        lengths[:] = lengths[0] if number % 4 == 0 else lengths
        drawn.append([random.integers(lowest, vocabulary, length).tolist() for length in lengths])
    return drawn
