"""The `onnx` engine: ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from mlapi.engines.padding import pad_batch
from mlapi.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class OnnxEngine:
    """Runs one ONNX graph with inputs `input_ids` and `attention_mask`, output `logits`."""

    name = "onnx"

    def __init__(self, path: Path, *, threads: int, pad_id: int) -> None:
        """Load the graph.

        Args:
            path: The `.onnx` file.
            threads: Threads for one inference call.
            pad_id: Token id to pad with; masked, so its value does not reach the answer.

        Raises:
            ModelError: ONNX Runtime cannot load the graph, or its inputs or outputs are not as said above.
        """
        # The official wheels report to their maker from the moment of their import; this is the full opt-out.
        os.putenv("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would burn the CPU that tokenisation and the event loop need on a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's exceptions share no public base class
            raise ModelError(f"{path} cannot be loaded by ONNX Runtime; export the model anew") from error
        names = {node.name for node in self._session.get_inputs()}
        if not {"input_ids", "attention_mask"} <= names <= {"input_ids", "attention_mask", "token_type_ids"}:
            raise ModelError(f"{path} takes {', '.join(sorted(names))}, not input_ids and attention_mask")
        if "logits" not in (outputs := [node.name for node in self._session.get_outputs()]):
            raise ModelError(f"{path} gives {', '.join(outputs)}, not logits")
        self._wants_token_types = "token_type_ids" in names
        self._pad_id = pad_id

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels)."""
        input_ids, attention_mask = pad_batch(batch, pad_id=self._pad_id)
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self._wants_token_types:
            feeds["token_type_ids"] = np.zeros_like(input_ids)
        logits: NDArray[np.float32] = self._session.run(["logits"], feeds)[0]
        return logits

    def close(self) -> None:
        """Drop the session; ONNX Runtime frees its threads and arena with it."""
        del self._session
