"""Our int8 graph on OpenVINO, for servers that bring batches: the file as it lies there, padded batches."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LONGEST = 512
Label = dict[str, str | float]


class OpenVinoModel:
    """Tokenizer and graph; called from one thread."""

    def __init__(self, model: Path) -> None:
        """Load them for one call at a time on all cores that this process may use.

        Args:
            model: The model directory.
        """
        if "openvino" not in sys.modules:
            # openvino reports its import to the first of these, if it is there; nothing of a measurement is
            # told to anyone.
            for name in ("openvino_telemetry", "openvino.tools.ovc"):
                sys.modules[name] = None  # type: ignore[assignment]
        import openvino

        config = json.loads((model / "config.json").read_bytes())
        self._names = [str(config["id2label"][str(index)]) for index in range(len(config["id2label"]))]
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.enable_padding(pad_id=config["pad_token_id"])
        core = openvino.Core()
        compiled = core.compile_model(
            core.read_model(model / "onnx" / "model.int8.onnx"),
            "CPU",
            # All as the service sets them. Batches come one after another, so one stream has every core; HTTP
            # is served on the same cores, so threads are not pinned; float32 where it is not int8.
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
                "ENABLE_CPU_PINNING": False,
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        self._request = compiled.create_infer_request()

    def __call__(self, texts: Sequence[str]) -> list[list[Label]]:
        """Return all labels of each text, from one batch padded to its longest text."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        inputs = {
            "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
        }
        self._request.infer(inputs)
        logits = self._request.get_output_tensor(0).data
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows = (weights / weights.sum(axis=1, keepdims=True)).tolist()
        return [
            [{"label": name, "score": score} for name, score in zip(self._names, row, strict=True)]
            for row in rows
        ]
