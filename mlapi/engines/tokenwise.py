"""Finds, in a transformer's graph, the part that treats each token by itself, and proves it node by node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

ELEMENTWISE = frozenset(
    {
        "Add",
        "Clamp",
        "Convert",
        "Divide",
        "Erf",
        "FakeQuantize",
        "Gelu",
        "Maximum",
        "Minimum",
        "Multiply",
        "Negative",
        "Power",
        "Relu",
        "Sigmoid",
        "Sqrt",
        "Subtract",
        "Swish",
        "Tanh",
    }
)
"""Operations that compute each number from the numbers in its own place."""

TOKEN_RANK, HEAD_RANK = 3, 4


class Unknown(Exception):  # noqa: N818 - an answer, caught where it is asked for
    """The graph is not of the form that is looked for."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The borders of the part that treats each token by itself; its data: (texts, positions, width).

    Attributes:
        embedded: The output that is the sum of the embeddings.
        width: Numbers per token there.
        entries: Nodes that make heads of tokens, by which data gets into an attention.
        exits: Nodes that make tokens of heads, by which it comes out; in order.
        selection: The node that takes each text's first token.
        into_the_end: Inputs, between the last exit and the selection, of data from before that exit.
        varying: Which of the graph's nodes depend on its inputs.
    """

    embedded: Any
    width: int
    entries: list[Any]
    exits: list[Any]
    selection: Any
    into_the_end: list[Any]
    varying: Varying

    @property
    def last_exit(self) -> Any:
        """The exit of the last attention."""
        return self.exits[-1]


def explore(model: Any) -> Layout:
    """Find the layout of an `openvino.Model`.

    Raises:
        Unknown: The graph has another form, or a node that may mix tokens.
    """
    order = model.get_ordered_ops()
    norm = next((node for node in order if node.get_type_name() == "MVN"), None)
    if norm is None or _rank(norm.output(0)) != TOKEN_RANK:
        raise Unknown
    embedded = norm.input_value(0)
    width = embedded.get_partial_shape()[2]
    exits = [node for node in order if _reshapes(node, HEAD_RANK, TOKEN_RANK)]
    if not exits or width.is_dynamic:
        raise Unknown
    varying = Varying(order)
    everything = _Region(varying)
    everything.follow([embedded, *(node.output(0) for node in exits)])
    end = _Region(varying)
    end.follow([exits[-1].output(0)])
    if len(everything.selections) != 1 or end.entries or end.selections != everything.selections:
        raise Unknown
    everything.check_closed()
    return Layout(
        embedded=embedded,
        width=width.get_length(),
        entries=list(everything.entries),
        exits=exits,
        selection=everything.selections[0],
        into_the_end=end.edges_from_outside(),
        varying=varying,
    )


class Varying:
    """Which nodes depend on what the model is asked; weights and scales depend on constants alone."""

    def __init__(self, order: Iterable[Any]) -> None:
        """Go through all nodes, each after those that it reads."""
        self._names: set[str] = set()
        for node in order:
            if node.get_type_name() == "Parameter" or any(map(self.at, node.inputs())):
                self._names.add(node.get_friendly_name())

    def at(self, edge: Any) -> bool:
        """Tell whether what an input reads depends on what the model is asked."""
        return edge.get_source_output().get_node().get_friendly_name() in self._names


class _Region:
    """What is reached from some outputs through nodes that treat each token by itself."""

    def __init__(self, varying: Varying) -> None:
        self._varying = varying
        self.outputs: set[Any] = set()
        self.nodes: list[Any] = []
        self.entries: list[Any] = []
        self.selections: list[Any] = []

    def follow(self, starts: Iterable[Any]) -> None:
        """Go on to the borders.

        Raises:
            Unknown: On a node that may mix tokens.
        """
        waiting = list(starts)
        while waiting:
            output = waiting.pop()
            if output in self.outputs:
                continue
            self.outputs.add(output)
            for target in output.get_target_inputs():
                node, port = target.get_node(), target.get_index()
                if port == 0 and _reshapes(node, TOKEN_RANK, HEAD_RANK):
                    _add(self.entries, node)
                elif port == 0 and _takes_first_token(node):
                    _add(self.selections, node)
                elif self._is_tokenwise(node, port):
                    _add(self.nodes, node)
                    waiting.append(node.output(0))
                else:
                    raise Unknown

    def edges_from_outside(self) -> list[Any]:
        """Return the inputs of its nodes that read neither the region itself nor constants."""
        edges = [edge for node in self.nodes for edge in node.inputs()]
        return [
            edge for edge in edges if self._varying.at(edge) and edge.get_source_output() not in self.outputs
        ]

    def check_closed(self) -> None:
        """Check that nothing unpacked, but constants, gets in from aside.

        Raises:
            Unknown: Something does.
        """
        if self.edges_from_outside():
            raise Unknown

    def _is_tokenwise(self, node: Any, port: int) -> bool:
        kind = node.get_type_name()
        others = [edge for edge in node.inputs() if edge.get_index() != port]
        if kind in ELEMENTWISE:
            # A constant may differ from number to number of a token, never from token to token.
            return all(self._varying.at(edge) or _same_for_all_tokens(edge) for edge in others)
        if kind == "MatMul":
            (weights,) = others
            plain = _rank(weights.get_source_output()) == 2 and not self._varying.at(weights)  # noqa: PLR2004
            return plain and port == 0 and not node.get_attributes()["transpose_a"]
        return kind == "MVN" and port == 0 and _last_axis_alone(others[0])


def _same_for_all_tokens(edge: Any) -> bool:
    shape = edge.get_partial_shape()
    return bool(shape.is_static) and all(size == 1 for size in list(shape.to_shape())[:-1])


def _last_axis_alone(axes: Any) -> bool:
    node = axes.get_source_output().get_node()
    values = node.get_data().ravel().tolist() if node.get_type_name() == "Constant" else _range(node)
    return values in ([-1], [TOKEN_RANK - 1])


def _range(node: Any) -> list[int]:
    """Return the values of a `Range` of constants, which is how the ONNX reader writes a norm's axes."""
    parts = [edge.get_source_output().get_node() for edge in node.inputs()]
    if node.get_type_name() != "Range" or any(part.get_type_name() != "Constant" for part in parts):
        return []
    return list(range(*(int(part.get_data().item()) for part in parts)))


def _takes_first_token(node: Any) -> bool:
    if node.get_type_name() != "Gather" or _rank(node.output(0)) != TOKEN_RANK - 1:
        return False
    constants = [edge.get_source_output().get_node() for edge in node.inputs()[1:]]
    if any(constant.get_type_name() != "Constant" for constant in constants):
        return False
    index, axis = (constant.get_data().ravel().tolist() for constant in constants)
    return bool(index == [0] and axis == [1])


def _reshapes(node: Any, before: int, after: int) -> bool:
    return (
        node.get_type_name() == "Reshape"
        and _rank(node.input_value(0)) == before
        and _rank(node.output(0)) == after
    )


def _rank(output: Any) -> int | None:
    rank = output.get_partial_shape().rank
    return rank.get_length() if rank.is_static else None


def _add(nodes: list[Any], node: Any) -> None:
    if node not in nodes:
        nodes.append(node)
