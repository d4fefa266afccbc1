"""Edits of ONNX graphs: what a tool leaves that a served graph should not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

MINUS_ONE = "last_axis"

ZERO_POINT = 2
"""Its place among the inputs of QuantizeLinear and DequantizeLinear."""


def save_graph(proto: onnx.ModelProto, path: Path) -> None:
    """Check a graph and write it; the same graph gives the same bytes."""
    import onnx

    onnx.checker.check_model(proto)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def strip(proto: onnx.ModelProto) -> None:
    """Drop what tools note about their own work: stack traces with paths, scope names, versions."""
    proto.doc_string = ""
    del proto.metadata_props[:]
    graph = proto.graph
    graph.doc_string = ""
    del graph.metadata_props[:], graph.value_info[:]
    parts: list[Any] = [*graph.node, *graph.initializer, *graph.input, *graph.output]
    for part in parts:
        part.doc_string = ""
        del part.metadata_props[:]


def dequantize_after_gather(proto: onnx.ModelProto) -> int:
    """Look quantised embeddings up as integers, and scale only the rows that were asked for.

    A quantiser writes `Gather(DequantizeLinear(table))`: ONNX Runtime then scales the whole table at each
    call, and OpenVINO keeps it in float32. The same numbers come from gathering integers and their scales.

    Args:
        proto: The graph; changed in place. Tables with a zero point other than 0 are left as they are.

    Returns:
        How many lookups were rewritten.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    tables = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored and _is_symmetric(node, stored)
    }
    nodes: list[onnx.NodeProto] = []
    found = 0
    for node in graph.node:
        table = (
            tables.get(node.input[0])
            if node.op_type == "Gather" and _attribute(node, "axis", 0) == 0
            else None
        )
        if table is None:
            nodes.append(node)
            continue
        scales = stored[table.input[1]]
        per_row = numpy_helper.to_array(scales).size > 1
        if per_row and _attribute(table, "axis", 1) != 0:
            nodes.append(node)
            continue
        found += 1
        out, ids = node.output[0], node.input[1]
        nodes += [
            helper.make_node("Gather", [table.input[0], ids], [f"{out}_rows"], name=f"{out}_gather_rows"),
            helper.make_node(
                "Cast", [f"{out}_rows"], [f"{out}_float"], name=f"{out}_cast", to=TensorProto.FLOAT
            ),
        ]
        factor = table.input[1]
        if per_row:
            factor = f"{out}_factors"
            nodes += [
                helper.make_node(
                    "Gather", [table.input[1], ids], [f"{out}_scales"], name=f"{out}_gather_scales"
                ),
                helper.make_node(
                    "Unsqueeze", [f"{out}_scales", MINUS_ONE], [factor], name=f"{out}_unsqueeze"
                ),
            ]
        nodes.append(helper.make_node("Mul", [f"{out}_float", factor], [out], name=f"{out}_scale"))
    if found:
        del graph.node[:]
        graph.node.extend(nodes)
        graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), MINUS_ONE))
        drop_unused(proto)
    return found


def unsigned_activations(proto: onnx.ModelProto) -> None:
    """Write signed eight-bit activations as unsigned ones: zero points move up by 128, scales stay.

    The numbers are the same. ONNX Runtime multiplies signed activations in floats on x86, or several times
    slower than unsigned ones; OpenVINO does not mind.
    """
    from onnx import TensorProto, numpy_helper

    constants = {constant.name: constant for constant in proto.graph.initializer}
    quantised = {node.output[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}
    moved: dict[str, str] = {}
    for node in proto.graph.node:
        of_activations = node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and node.input[0] in quantised
        )
        if not of_activations or constants[node.input[ZERO_POINT]].data_type != TensorProto.INT8:
            continue
        name = node.input[ZERO_POINT]
        if name not in moved:
            moved[name] = f"{name}_unsigned"
            zero_point = numpy_helper.to_array(constants[name]).astype(np.int16) + 128
            proto.graph.initializer.append(numpy_helper.from_array(zero_point.astype(np.uint8), moved[name]))
        node.input[ZERO_POINT] = moved[name]


def drop_unused(proto: onnx.ModelProto) -> None:
    """Drop nodes and initializers that no output needs."""
    graph = proto.graph
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(initializers)


def float_weights(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Name the float matrices that a product or a lookup reads as they are, in the order of the graph."""
    from onnx import TensorProto

    matrices = {
        tensor.name
        for tensor in proto.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and min(tensor.dims) > 1
    }
    read = [
        name
        for node in proto.graph.node
        if node.op_type in {"MatMul", "Gemm", "Gather"}
        for name in node.input
    ]
    return tuple(dict.fromkeys(name for name in read if name in matrices))


def weight_layers(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Name the products, with weights or between activations, in the order of the graph."""
    return tuple(node.name for node in proto.graph.node if node.op_type in {"MatMul", "Gemm"})


def products_without_weights(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Name the products of what depends on the inputs with what does too, in the order of the graph."""
    asked = set(input_names(proto))
    products = []
    for node in proto.graph.node:
        depends = asked.intersection(node.input)
        if depends:
            asked.update(node.output)
        if node.op_type in {"MatMul", "Gemm"} and depends.issuperset(node.input[:2]):
            products.append(node.name)
    return tuple(products)


def input_names(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the graph's inputs."""
    return tuple(entry.name for entry in proto.graph.input)


def _is_symmetric(node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]) -> bool:
    from onnx import numpy_helper

    if len(node.input) < 3 or not node.input[2]:  # noqa: PLR2004 - table, scale, and perhaps a zero point
        return True
    zero_point: NDArray[Any] | None = (
        numpy_helper.to_array(stored[node.input[2]]) if node.input[2] in stored else None
    )
    return zero_point is not None and not zero_point.any()


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(entry.i) for entry in node.attribute if entry.name == name), default)
