"""Proves, node by node, that a part of a graph treats each token by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlapi.engines.nodes import HEAD_RANK, Unknown, is_token_data, rank, sizes, source, values

if TYPE_CHECKING:
    from mlapi.engines.nodes import Dependent

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

MATRIX_RANK = 2

LAST_AXIS = ([-1], [2])
"""How a norm says that it takes the numbers of one token alone."""


class Region:
    """What is reached from some outputs through nodes that treat each token by itself.

    All this is about a graph that is `measured`.
    """

    def __init__(self, asked: Dependent) -> None:
        """Begin with nothing.

        Args:
            asked: What depends on the model's inputs; the rest are weights and scales.
        """
        self._asked = asked
        self._outputs: set[Any] = set()
        self._nodes: dict[str, Any] = {}
        self.entries: dict[str, Any] = {}
        self.selections: dict[str, Any] = {}

    def follow(self, starts: list[Any]) -> None:
        """Go on to the borders.

        Raises:
            Unknown: On a node that may mix tokens.
        """
        waiting = list(starts)
        while waiting:
            output = waiting.pop()
            if output in self._outputs:
                continue
            self._outputs.add(output)
            for target in output.get_target_inputs():
                node, port = target.get_node(), target.get_index()
                name = node.get_name()
                if port == 0 and _makes_heads(node):
                    self.entries[name] = node
                elif port == 0 and _takes_first_token(node):
                    self.selections[name] = node
                elif self._is_tokenwise(node, port):
                    self._nodes[name] = node
                    waiting.append(node.output(0))
                else:
                    raise Unknown

    def edges_from_outside(self) -> list[Any]:
        """Return the inputs of its nodes that read neither the region itself nor constants."""
        edges = [edge for node in self._nodes.values() for edge in node.inputs()]
        return [
            edge for edge in edges if self._asked.at(edge) and edge.get_source_output() not in self._outputs
        ]

    def check_closed(self, entries: set[str]) -> None:
        """Check that data gets in at the starts alone, and leaves by the attentions alone.

        Args:
            entries: Names of the nodes by which data gets into the attentions.

        Raises:
            Unknown: It is not so.
        """
        if self.edges_from_outside() or set(self.entries) != entries:
            raise Unknown

    def _is_tokenwise(self, node: Any, port: int) -> bool:
        kind = node.get_type_name()
        others = [edge for edge in node.inputs() if edge.get_index() != port]
        if node.get_output_size() != 1 or not is_token_data(node.output(0)):
            return False
        if kind in ELEMENTWISE:
            # A constant may differ from number to number of a token, never from token to token.
            return all(self._asked.at(edge) or _same_for_all_tokens(edge) for edge in others)
        if kind == "MatMul":
            (weights,) = others
            plain = rank(weights) == MATRIX_RANK and not node.get_attributes()["transpose_a"]
            return plain and port == 0
        return kind == "MVN" and port == 0 and len(others) == 1 and _last_axis_alone(others[0])


def _same_for_all_tokens(edge: Any) -> bool:
    found = sizes(edge)
    return found is not None and set(found[:-1]) <= {1}


def _last_axis_alone(axes: Any) -> bool:
    return (values(axes) or _range(source(axes))) in LAST_AXIS


def _range(node: Any) -> list[Any]:
    """Return the values of a `Range` of constants, which is how the ONNX reader writes a norm's axes."""
    parts = [values(edge) for edge in node.inputs()]
    if node.get_type_name() != "Range" or any(part is None for part in parts):
        return []
    return list(range(*(int(part[0]) for part in parts if part)))


def _takes_first_token(node: Any) -> bool:
    if node.get_type_name() != "Gather" or not is_token_data(node.input(0)):
        return False
    index, axis = (values(edge) for edge in node.inputs()[1:])
    # Of rank 2: where the index is a list, the selection keeps an axis of positions.
    return index == [0] and axis == [1] and rank(node.output(0)) == MATRIX_RANK


def _makes_heads(node: Any) -> bool:
    return node.get_type_name() == "Reshape" and rank(node.output(0)) == HEAD_RANK
