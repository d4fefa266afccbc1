"""Which layers of an int8 graph move its answers most: each in turn gets its activations in float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlapi.training.graph import weight_layers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from mlapi.training.quantize import Feeds


def rank_layers(
    proto: onnx.ModelProto, feeds: Sequence[Feeds], reference: Sequence[NDArray[np.float32]]
) -> tuple[str, ...]:
    """Order the layers by how much nearer to the reference the graph comes without their rounding.

    Args:
        proto: An int8 graph; the same after the call as before.
        feeds: Inputs of some texts.
        reference: For each, the float32 probabilities, shape (1, labels).

    Returns:
        Names of the layers whose activations are quantised, the one that costs most first.
    """
    passed = _rounded(proto)
    layers = {node.name: node for node in proto.graph.node if node.name in set(weight_layers(proto))}
    deviations = {}
    for name, node in layers.items():
        before = list(node.input)
        node.input[:] = [passed.get(source, source) for source in before]
        if list(node.input) != before:
            deviations[name] = deviation(probabilities(proto, feeds), reference)
        node.input[:] = before
    return tuple(sorted(deviations, key=lambda name: deviations[name]))


def deviation(given: Sequence[NDArray[np.float32]], reference: Sequence[NDArray[np.float32]]) -> float:
    """Return the mean over texts of the largest difference of a probability."""
    return float(np.mean([np.abs(one - other).max() for one, other in zip(given, reference, strict=True)]))


def probabilities(proto: onnx.ModelProto, feeds: Sequence[Feeds]) -> list[NDArray[np.float32]]:
    """Run texts one by one through a graph with ONNX Runtime; return each one's softmax, shape (1, labels).

    Softmax for models with sigmoid too: it is used to compare two graphs, not to answer.
    """
    import onnxruntime

    from mlapi.engines.activation import activate

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return [activate(session.run(["logits"], dict(feed))[0], "softmax") for feed in feeds]


def _rounded(proto: onnx.ModelProto) -> Mapping[str, str]:
    """Map what comes out of rounding an activation to what went in."""
    quantized = {
        node.output[0]: node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"
    }
    return {
        node.output[0]: quantized[node.input[0]]
        for node in proto.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in quantized
    }
