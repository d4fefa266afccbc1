"""int8 on CPUs without VNNI: what weights of eight bits lose, and weights of seven bits keep.

Docs: `docs/adr/0016-seven-bit-weights.md`. Such a CPU is had by telling oneDNN, which OpenVINO computes with,
to use AVX2 alone.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mlapi

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"}, reason="the instruction that saturates is x86's"
)

WIDTH = 256
SCALE = np.float32(0.01)
SCRIPT = """
import sys
import numpy as np
from mlapi.engines.openvino import shared_core
core = shared_core()
compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
np.save(sys.argv[3], compiled(np.load(sys.argv[2]))[0])
"""


def product(weights: NDArray[np.int8], step: np.float32) -> onnx.ModelProto:
    """Make a graph that rounds its input to eight bits and multiplies it with the weights."""
    constants: dict[str, NDArray[Any]] = {
        "weights": weights,
        "scales": np.full(WIDTH, SCALE),
        "step": np.array(step),
        "zero": np.array(0, dtype=np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["rounded"]),
        helper.make_node("DequantizeLinear", ["rounded", "step", "zero"], ["activations"]),
        helper.make_node("DequantizeLinear", ["weights", "scales"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["activations", "matrix"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def error_without_vnni(folder: Path, *, largest: int) -> float:
    """Return the largest error, as a share of the largest product, of weights up to a size."""
    generator = np.random.default_rng(0)
    weights = generator.integers(largest // 2, largest + 1, (WIDTH, WIDTH)).astype(np.int8)
    step = np.float32(1 / 127)
    given = generator.uniform(0.9, 1, (4, WIDTH)).astype(np.float32)
    exact = np.rint(given / step).clip(-128, 127).astype(np.float64) @ weights * SCALE * step
    onnx.save(product(weights, step), str(folder / "product.onnx"))
    np.save(folder / "x.npy", given)
    subprocess.run(
        [sys.executable, "-c", SCRIPT, *(str(folder / name) for name in ("product.onnx", "x.npy", "y.npy"))],
        env={
            **os.environ,
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "PYTHONPATH": str(Path(mlapi.__file__).parents[1]),
        },
        check=True,
    )
    computed: NDArray[np.float32] = np.load(folder / "y.npy")
    return float(np.abs(computed - exact).max() / np.abs(exact).max())


def test_seven_bit_weights_are_exact_without_vnni(tmp_path: Path) -> None:
    """If it fails, int8 variants answer wrongly on CPUs without VNNI."""
    assert error_without_vnni(tmp_path, largest=64) < 1e-5


def test_eight_bit_weights_saturate_without_vnni(tmp_path: Path) -> None:
    """If it fails, the eighth bit is given away for nothing here, or the test above can see nothing."""
    assert error_without_vnni(tmp_path, largest=127) > 0.1
