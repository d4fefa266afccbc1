"""The best int8 graphs that ONNX Runtime's own tools make of the model, for its own engine.

- `dynamic`: scales of activations are found at each call.
- `fused`: embedding, attention, skip connections and GELU become single operators, then as above. The fusion
  knows the graphs of PyTorch's older exporter, so it gets one; `FusionError` says when it did not take place.
- `static`, `products`: scales from calibration, on all operators that can have them, or on matrix products.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.engines.contenders import DYNAMIC, FP32, FUSED, STATIC, STATIC_PRODUCTS
from bench.model import calibration_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.model import Size

PRODUCTS = ("MatMul", "Gemm")


class FusionError(Exception):
    """The optimiser left attention in pieces, which would be no fair rival."""


def makers(size: Size, directory: Path) -> dict[str, Callable[[Path], None]]:
    """Return, by the file's name inside the directory, what writes it to a path.

    Args:
        size: Of the model.
        directory: Holds the torch model and `onnx/model.onnx`.
    """
    return {
        DYNAMIC: lambda path: _dynamic(directory / FP32, path),
        FUSED: lambda path: _fused(size, directory, path),
        STATIC: lambda path: _static(size, directory, path, operators=None),
        STATIC_PRODUCTS: lambda path: _static(size, directory, path, operators=PRODUCTS),
    }


def _dynamic(source: Path, path: Path) -> None:
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        path,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # What comes out of a fused operator has no type that shape inference could find.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


def _fused(size: Size, directory: Path, path: Path) -> None:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    plain, fused = path.with_suffix(".plain"), path.with_suffix(".fused")
    try:
        _export_for_fusion(directory, plain)
        optimised = optimize_model(
            str(plain),
            model_type="bert",
            num_heads=size.heads,
            hidden_size=size.width,
            optimization_options=FusionOptions("bert"),
            opt_level=0,
        )
        operators = [node.op_type for node in optimised.model.graph.node]
        counts = {
            name: operators.count(name)
            for name in ("EmbedLayerNormalization", "Attention", "SkipLayerNormalization", "BiasGelu")
        }
        if list(counts.values()) != [1, size.layers, 2 * size.layers, size.layers]:
            raise FusionError(f"onnxruntime.transformers fused only {counts} of {size.layers} layers")
        optimised.save_model_to_file(str(fused))
        _dynamic(fused, path)
    finally:
        plain.unlink(missing_ok=True)
        fused.unlink(missing_ok=True)


def _export_for_fusion(directory: Path, path: Path) -> None:
    import torch

    from mlapi.training.loading import load_model

    class LogitsOnly(torch.nn.Module):  # type: ignore[misc]  # Any where torch is not installed
        def __init__(self) -> None:
            super().__init__()
            self.model = load_model(directory)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
            return logits

    input_ids = torch.arange(1, 15).view(2, 7)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 4:] = 0
    free = {0: "batch", 1: "sequence"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's age, and about branches that it decides
        torch.onnx.export(
            LogitsOnly().eval(),
            (input_ids, attention_mask),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": free, "attention_mask": free, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )


def _static(size: Size, directory: Path, path: Path, *, operators: tuple[str, ...] | None) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the library comes without types
        def __init__(self) -> None:
            self._rows = iter(calibration_ids(size))

        def get_next(self) -> dict[str, Any] | None:
            row = next(self._rows, None)
            if row is None:
                return None
            input_ids = np.array([row], dtype=np.int64)
            return {"input_ids": input_ids, "attention_mask": np.ones_like(input_ids)}

    prepared = path.with_suffix(".prepared")
    try:
        quant_pre_process(str(directory / FP32), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=operators and list(operators),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    finally:
        prepared.unlink(missing_ok=True)
