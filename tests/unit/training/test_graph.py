"""Edits of ONNX graphs, on graphs of a few nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from mlapi.training.graph import (
    dequantize_after_gather,
    drop_unused,
    float_weights,
    strip,
    unsigned_activations,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDS = np.array([[4, 0, 2], [1, 1, 3]], dtype=np.int64)
TABLE = np.random.default_rng(0).integers(-64, 64, (5, 3)).astype(np.int8)


def lookup(scales: NDArray[np.float32], *, axis: int = 0, zero: int = 0, lookups: int = 1) -> onnx.ModelProto:
    """Make a graph as a quantiser leaves it: the table is scaled as a whole, then looked up."""
    constants: dict[str, NDArray[Any]] = {
        "table": TABLE,
        "scales": scales,
        "zeros": np.full(scales.shape, zero, dtype=np.int8),
        "spare": np.zeros((4, 4), dtype=np.float32),
    }
    nodes = [helper.make_node("DequantizeLinear", ["table", "scales", "zeros"], ["floats"], axis=axis)]
    nodes += [helper.make_node("Gather", ["floats", "ids"], [f"out{number}"]) for number in range(lookups)]
    graph = helper.make_graph(
        nodes,
        "lookup",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])],
        [
            helper.make_tensor_value_info(f"out{number}", TensorProto.FLOAT, ["batch", "tokens", 3])
            for number in range(lookups)
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def run(proto: onnx.ModelProto) -> list[NDArray[np.float32]]:
    """Run a graph on `IDS`."""
    outputs: Any = ReferenceEvaluator(proto).run(None, {"ids": IDS})
    return list(outputs)


@pytest.mark.parametrize(
    ("scales", "lookups"),
    [
        (np.array(0.5, dtype=np.float32), 1),
        (np.array([0.1, 0.2, 0.3, 0.4, 0.5], dtype=np.float32), 1),
        (np.array([0.1, 0.2, 0.3, 0.4, 0.5], dtype=np.float32), 2),
    ],
)
def test_rows_are_scaled_after_the_lookup(scales: NDArray[np.float32], lookups: int) -> None:
    """If it fails, embeddings change, or each call of ONNX Runtime scales the whole table as before."""
    proto = lookup(scales, lookups=lookups)
    before = run(proto)
    assert dequantize_after_gather(proto) == lookups
    onnx.checker.check_model(proto)
    assert "DequantizeLinear" not in {node.op_type for node in proto.graph.node}
    assert {"spare", "zeros"}.isdisjoint(tensor.name for tensor in proto.graph.initializer)
    for one, other in zip(run(proto), before, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "proto",
    [
        lookup(np.array([0.1, 0.2, 0.3], dtype=np.float32), axis=1),
        lookup(np.array(0.5, dtype=np.float32), zero=3),
    ],
    ids=["scales-by-column", "zero-point"],
)
def test_other_tables_are_left_alone(proto: onnx.ModelProto) -> None:
    """If it fails, a table is scaled by the wrong numbers."""
    before = run(proto)[0]
    assert dequantize_after_gather(proto) == 0
    np.testing.assert_array_equal(run(proto)[0], before)


def test_what_nothing_needs_is_dropped() -> None:
    """If it fails, int8 files carry float32 tables that nothing reads."""
    proto = lookup(np.array(0.5, dtype=np.float32))
    drop_unused(proto)
    assert {tensor.name for tensor in proto.graph.initializer} == {"table", "scales", "zeros"}


def test_matrices_that_stayed_in_float_are_named() -> None:
    """If it fails, an int8 graph whose largest matrix was left out is not noticed."""
    proto = lookup(np.array(0.5, dtype=np.float32))
    assert float_weights(proto) == ()
    proto.graph.node.append(helper.make_node("MatMul", ["out0", "spare"], ["product"]))
    assert float_weights(proto) == ("spare",)


def test_notes_of_the_tools_are_stripped() -> None:
    """If it fails, a graph carries stack traces with the paths of whoever exported it."""
    proto = lookup(np.array(0.5, dtype=np.float32))
    proto.graph.node[0].doc_string = "/home/someone/export.py"
    proto.metadata_props.add(key="by", value="/home/someone")
    proto.graph.node[0].metadata_props.add(key="stack", value="/home/someone")
    strip(proto)
    assert b"/home/someone" not in proto.SerializeToString()


def test_signed_activations_become_unsigned_with_the_same_numbers() -> None:
    """If it fails, ONNX Runtime computes int8 several times slower on x86, or something else altogether."""
    constants: dict[str, NDArray[Any]] = {
        "scale": np.array(0.05, dtype=np.float32),
        "zero": np.array(-7, dtype=np.int8),
        "weights": TABLE,
        "weight_scale": np.array(0.01, dtype=np.float32),
        "weight_zero": np.array(0, dtype=np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["activations"]),
        helper.make_node("DequantizeLinear", ["weights", "weight_scale", "weight_zero"], ["floats"]),
        helper.make_node("MatMul", ["activations", "floats"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 5])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    # From far below what the scale holds to far above it.
    feeds = {"x": np.linspace(-10, 10, 40, dtype=np.float32).reshape(8, 5)}
    (before,) = ReferenceEvaluator(proto).run(None, feeds)
    unsigned_activations(proto)
    drop_unused(proto)
    onnx.checker.check_model(proto)
    (after,) = ReferenceEvaluator(proto).run(None, feeds)
    np.testing.assert_array_equal(before, after)
    kinds = {constant.name: constant.data_type for constant in proto.graph.initializer}
    assert kinds["zero_unsigned"] == TensorProto.UINT8
    assert kinds["weight_zero"] == TensorProto.INT8
    assert "zero" not in kinds
