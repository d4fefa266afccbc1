"""From a transformers sequence classifier on disk to one ONNX file that gives the same logits.

The graph comes from PyTorch's exporter on `torch.export`, with attention written out (`eager`): one file, no
custom operators, batch and sequence free. It is left as exported, since ONNX Runtime optimises it for the
machine at hand when it loads it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mlapi.engines.openvino import PADDED_TO
from mlapi.errors import ModelError
from mlapi.training.graph import save_graph, strip
from mlapi.training.loading import load_model
from mlapi.training.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

OPSET = 18
TOLERANCE = 1e-4
"""Largest difference of a logit between torch and the exported graph."""

LARGEST = 2**31
"""Bytes that a graph must stay below."""

LENGTHS = (2, 3, 17, 64, 512)
"""Sequence lengths that every export is checked on, one by one and padded into one batch."""


def export_onnx(directory: Path, path: Path, *, tolerance: float = TOLERANCE) -> None:
    """Export the classifier in a directory and check the result against torch.

    Args:
        directory: Holds `config.json` and `model.safetensors`, as `save_pretrained` writes them.
        path: The `.onnx` file to write. Inputs `input_ids`, `attention_mask` and, for models that have them,
            `token_type_ids`, all int64 of shape (batch, sequence); output `logits`, float32 of shape
            (batch, labels). All sizes but the number of labels are free.
        tolerance: Largest difference of a logit between torch and the graph.

    Raises:
        ModelError: transformers cannot load the directory, the exporter cannot deal with the model, it is too
            large for one file, or the graph's logits differ from torch's by more than `tolerance`.
    """
    model = load_model(directory)
    # An ONNX file is one protobuf message, and those end at 2 GiB.
    if (size := 4 * sum(parameter.numel() for parameter in model.parameters())) >= LARGEST:
        raise ModelError(
            f"{directory} has {size / 2**30:.1f} GiB of weights in float32, and an ONNX graph takes less "
            "than 2; choose a smaller model"
        )
    try:
        proto = _graph(model)
        strip(proto)
        save_graph(proto, path)
    except Exception as error:  # the exporter raises whatever the model provokes
        raise ModelError(
            f"{directory} cannot be exported to ONNX ({type(error).__name__}); is it the architecture that "
            "its config.json names?"
        ) from error
    deviation = largest_deviation(model, path)
    if deviation > tolerance:
        path.unlink()
        raise ModelError(
            f"the ONNX graph of {directory} deviates from torch by {deviation:.2g} in a logit, more than "
            f"{tolerance:.2g}; this architecture does not export faithfully"
        )


def takes_token_types(model: PreTrainedModel) -> bool:
    """Tell whether the model has segments: BERT has two kinds, RoBERTa one, DistilBERT none."""
    return int(getattr(model.config, "type_vocab_size", 0) or 0) > 1


def largest_deviation(model: PreTrainedModel, path: Path) -> float:
    """Run the same token ids through torch and through ONNX Runtime.

    The ids are drawn from a fixed seed over the whole vocabulary, at each of `LENGTHS` that the model takes:
    alone, and all together in one padded batch.

    Args:
        model: The classifier, in evaluation mode.
        path: The exported graph.

    Returns:
        The largest absolute difference of a logit; infinite when either side is not finite.
    """
    import torch

    from mlapi.engines.onnx import OnnxEngine
    from mlapi.engines.padding import pad_batch

    pad_id = int(model.config.pad_token_id or 0)
    sequences = _sequences(model)
    engine = OnnxEngine(path, threads=torch.get_num_threads(), pad_id=pad_id)
    worst = 0.0
    try:
        for batch in [*([sequence] for sequence in sequences), sequences]:
            input_ids, attention_mask = pad_batch(batch, pad_id=pad_id)
            with torch.inference_mode():
                expected = model(
                    input_ids=torch.from_numpy(input_ids), attention_mask=torch.from_numpy(attention_mask)
                ).logits.numpy()
            difference = np.abs(engine.infer(batch) - expected)
            worst = max(worst, float(difference.max()) if np.isfinite(difference).all() else float("inf"))
    finally:
        engine.close()
    return worst


def longest_sequence(model: PreTrainedModel) -> int:
    """Return how many tokens, special ones included, the model's position embeddings hold."""
    positions = int(model.config.max_position_embeddings)
    if model.config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= int(model.config.pad_token_id) + 1  # these count positions from after the padding id
    positions = min(positions, LENGTHS[-1])
    # OpenVINO is given multiples of these: even the longest text, padded, must stay within the positions.
    return positions - positions % PADDED_TO if positions > PADDED_TO else positions


def _sequences(model: PreTrainedModel) -> list[list[int]]:
    vocabulary = int(model.config.vocab_size)
    longest = longest_sequence(model)
    pad_id = int(model.config.pad_token_id or 0)
    generator = np.random.default_rng(0)
    lengths = sorted({min(length, longest) for length in LENGTHS})
    drawn: list[NDArray[np.int64]] = [generator.integers(0, vocabulary, length) for length in lengths]
    # A padding id inside a text would shift RoBERTa's positions; no tokenizer puts one there.
    return [
        [(pad_id + 1) % vocabulary if token == pad_id else token for token in ids.tolist()] for ids in drawn
    ]


def _graph(model: PreTrainedModel) -> onnx.ModelProto:
    import torch

    names = ["input_ids", "attention_mask"]
    if takes_token_types(model):
        names.append("token_type_ids")
    first = int(model.config.pad_token_id or 0) + 1
    # Two texts of different length, so that the exporter sees a mask that masks.
    input_ids = (
        torch.arange(first, first + 14, dtype=torch.int64).remainder(int(model.config.vocab_size)).view(2, 7)
    )
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 4:] = 0
    example = (input_ids, attention_mask, torch.zeros_like(input_ids))[: len(names)]
    shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    with quiet(), _distances_looked_up():
        program = torch.onnx.export(
            _logits_only(model),
            example,
            input_names=names,
            output_names=["logits"],
            dynamic_shapes=[shape] * len(names),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:  # pragma: no cover - only the old exporter gives None
        raise ModelError("torch.onnx.export gave no program")
    proto: onnx.ModelProto = program.model_proto
    return proto


@contextmanager
def _distances_looked_up() -> Iterator[None]:
    """Let DeBERTa look its distance buckets up in a table instead of computing them.

    It rounds logarithms up, and engines' logarithms differ in their last digit: on a boundary, a distance
    would fall into another bucket than torch's.
    """
    import torch
    from transformers.models.deberta_v2 import modeling_deberta_v2 as deberta

    code: Any = deberta
    compute = code.make_log_bucket_position
    longest = LENGTHS[-1]

    def look_up(distances: torch.Tensor, bucket_size: int, max_position: int) -> torch.Tensor:
        table: torch.Tensor = compute(torch.arange(1 - longest, longest), bucket_size, max_position)
        return table[distances + (longest - 1)]

    code.make_log_bucket_position = look_up
    try:
        yield
    finally:
        code.make_log_bucket_position = compute


def _logits_only(model: PreTrainedModel) -> torch.nn.Module:
    import torch

    base: Any = torch.nn.Module

    class LogitsOnly(base):  # type: ignore[misc]  # Any where torch is not installed
        """Tensors in, logits out, which is what an ONNX graph is."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            token_type_ids: torch.Tensor | None = None,
        ) -> torch.Tensor:
            segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            logits: torch.Tensor = self.model(
                input_ids=input_ids, attention_mask=attention_mask, **segments
            ).logits
            return logits

    wrapped: torch.nn.Module = LogitsOnly().train(mode=False)
    return wrapped
