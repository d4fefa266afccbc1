"""Who is measured: each contender is one engine on one model or graph, loaded in a process of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlapi.engines.padding import pad_batch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mlapi.ports import TokenEngine

Engine = Literal["torch", "onnx", "openvino", "waiting", "spinning"]

PAD_ID = 0
FP32 = "onnx/model.onnx"
INT8 = "onnx/model.int8.onnx"
DYNAMIC = "rivals/dynamic.onnx"
FUSED = "rivals/fused-dynamic.onnx"
STATIC = "rivals/static.onnx"
STATIC_PRODUCTS = "rivals/static-products.onnx"


@dataclass(frozen=True, slots=True)
class Contender:
    """One engine on one file.

    Attributes:
        name: In tables.
        engine: `waiting` and `spinning` are ONNX Runtime as a user sets it up, whose threads wait for the
            next piece of work asleep or in a loop; the others are the engines that serve.
        file: Inside the model directory; empty for the directory itself.
        rival: Whether it counts as ONNX Runtime int8.
    """

    name: str
    engine: Engine
    file: str = ""
    rival: bool = False


RIVAL_GRAPHS = {"dynamic": DYNAMIC, "fused": FUSED, "static": STATIC, "products": STATIC_PRODUCTS}
"""What ONNX Runtime's own tools make, by short name; `bench.engines.rivals` describes them."""

WAYS_TO_WAIT: tuple[tuple[Engine, str], ...] = (("waiting", ""), ("spinning", "-spinning"))
"""The two settings of ONNX Runtime's threads, with what they add to a contender's name."""

CONTENDERS = (
    Contender("transformers-fp32", "torch"),
    Contender("onnx-fp32", "onnx", FP32),
    Contender("openvino-fp32", "openvino", FP32),
    Contender("openvino-int8", "openvino", INT8),
    Contender("onnx-int8", "onnx", INT8, rival=True),
    Contender("onnx-int8-spinning", "spinning", INT8, rival=True),
    *(
        Contender(f"ort-{short}{suffix}", engine, file, rival=True)
        for short, file in RIVAL_GRAPHS.items()
        for engine, suffix in WAYS_TO_WAIT
    ),
)
RIVALS = tuple(contender.name for contender in CONTENDERS if contender.rival)


def load(contender: Contender, directory: Path, *, threads: int) -> TokenEngine:
    """Load a contender from the model directory."""
    path = directory / contender.file
    if contender.engine == "torch":
        from mlapi.engines.torch import TorchEngine

        return TorchEngine(directory, threads=threads, pad_id=PAD_ID)
    if contender.engine == "onnx":
        from mlapi.engines.onnx import OnnxEngine

        return OnnxEngine(path, threads=threads, pad_id=PAD_ID)
    if contender.engine == "openvino":
        from mlapi.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(path, threads=threads, pad_id=PAD_ID)
    return OrtSession(path, threads=threads, spinning=contender.engine == "spinning")


class OrtSession:
    """ONNX Runtime with its defaults, but for the number of threads and how they wait."""

    name = "ort"

    def __init__(self, path: Path, *, threads: int, spinning: bool) -> None:
        """Load a graph.

        Args:
            path: The `.onnx` file.
            threads: Threads for one inference call.
            spinning: Whether threads without work loop for a while before they sleep.
        """
        os.putenv("ORT_DISABLE_TELEMETRY", "1")  # as in mlapi/engines/onnx.py
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels)."""
        input_ids, attention_mask = pad_batch(batch, pad_id=PAD_ID)
        logits: NDArray[np.float32] = self._session.run(
            None, {"input_ids": input_ids, "attention_mask": attention_mask}
        )[0]
        return logits

    def close(self) -> None:
        """Drop the session."""
        del self._session
