"""Proves that a part of a graph is an attention whose mask hides the padding.

softmax(queries x keys + mask) x values, in heads (Vaswani et al. 2017, Attention Is All You Need, 3.2). Where
that is so, nothing that stands in the place of padding reaches a token, and what the first token gets takes
its query alone, and its row of the mask. What numbers the mask has is left to the model, whose answers would
depend on padding if they were no good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlapi.engines.nodes import POSITIONS, TEXTS, Unknown, sizes, source, values

if TYPE_CHECKING:
    from mlapi.engines.nodes import Dependent

SCALING = frozenset({"Add", "Convert", "Divide", "FakeQuantize", "Multiply", "Subtract"})
"""What may stand between the parts, with a single constant for all numbers."""

AS_IS = (0, 1, 2, 3)
HEADS_FIRST = (0, 2, 1, 3)
"""From (texts, positions, heads, depth) to (texts, heads, positions, depth), and back."""

TURNED = (0, 2, 3, 1)
"""The same for keys, turned for the product."""


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention.

    Attributes:
        queries: The node that makes heads of them.
        keys: Likewise.
        values: Likewise.
        mask: The input by which the mask, of shape (texts or 1, 1, positions or 1, positions), is added.
        scaling: The node that multiplies the product of queries and keys with one number, or None where
            something else is done to the product, or to the keys on their way to it.
        exit: The node that makes tokens of heads.
        heads: How many.
        depth: Numbers per query and head.
        width: Numbers per token that come out.
    """

    queries: Any
    keys: Any
    values: Any
    mask: Any
    scaling: Any | None
    exit: Any
    heads: int
    depth: int
    width: int

    @property
    def entries(self) -> dict[str, Any]:
        """The nodes by which tokens get in, by name."""
        return {node.get_name(): node for node in (self.queries, self.keys, self.values)}

    @property
    def widths(self) -> dict[str, int]:
        """Numbers per token that get in by each of them."""
        asked = self.heads * self.depth
        return {
            self.queries.get_name(): asked,
            self.keys.get_name(): asked,
            self.values.get_name(): self.width,
        }


@dataclass(frozen=True, slots=True)
class Origins:
    """What depends on what.

    Attributes:
        asked: On what the model is asked.
        hiding: On the values of the `attention_mask`.
        embedded: On the sum of the embeddings.
    """

    asked: Dependent
    hiding: Dependent
    embedded: Dependent


def read_attention(exit_: Any, origins: Origins) -> Attention:
    """Read an attention from its exit backwards, while the graph is `measured`.

    Args:
        exit_: Makes (texts, positions, width) of (texts, positions, heads, depth).
        origins: Of all nodes of the graph.

    Raises:
        Unknown: It is something else, or something else reads what is computed inside.
    """
    way = _Way(origins.asked)
    product = way.back(exit_.input_value(0), "MatMul", turned=HEADS_FIRST)
    softmax = product.input_value(0).get_node()
    # Nothing may stand in between: the zeros of what is masked must stay zeros.
    if softmax.get_type_name() != "Softmax" or softmax.get_attributes()["axis"] not in {-1, 3}:
        raise Unknown
    addition = source(softmax.input(0))
    if addition.get_type_name() != "Add":
        raise Unknown
    mask, scores = _mask_and_scores(addition, origins)
    way.through += [softmax, addition]
    scored = way.back(scores, "MatMul", turned=AS_IS)
    if any(node.get_attributes()["transpose_a"] for node in (product, scored)):
        raise Unknown
    queries = way.back(scored.input_value(0), "Reshape", turned=HEADS_FIRST)
    keys = way.back(scored.input_value(1), "Reshape", turned=_for_product(scored, across=TURNED))
    taken = way.back(product.input_value(1), "Reshape", turned=_for_product(product, across=HEADS_FIRST))
    if queries in (keys, taken):
        raise Unknown
    way.check_alone(exit_)
    heads, depth = list(queries.output(0).get_shape())[2:]
    width = exit_.output(0).get_shape()[2]
    # A product would take one head of keys or values for all queries.
    if any((sizes(node.output(0)) or ())[:3] != (TEXTS, POSITIONS, heads) for node in (queries, keys, taken)):
        raise Unknown
    scaling = _scaling(scores.get_node(), scored, keys)
    return Attention(queries, keys, taken, mask, scaling, exit_, heads=heads, depth=depth, width=width)


def _scaling(scores: Any, product: Any, keys: Any) -> Any | None:
    """Return the node that makes scores of a product, if it multiplies, and keys are turned and no more."""
    key = product.input_value(1).get_node()
    while key.get_type_name() == "Transpose":
        key = source(key.input(0))
    multiplies = scores.get_type_name() == "Multiply" and product in map(source, scores.inputs())
    return scores if multiplies and key == keys else None


def _for_product(product: Any, *, across: tuple[int, ...]) -> tuple[int, ...]:
    """Return how a product's second factor is turned, given how it is where the product does not turn it."""
    other = TURNED if across == HEADS_FIRST else HEADS_FIRST
    return other if product.get_attributes()["transpose_b"] else across


def _mask_and_scores(addition: Any, origins: Origins) -> tuple[Any, Any]:
    """Return the input that adds the mask, and the output that has the scores."""
    shapes = {(texts, 1, rows, POSITIONS) for texts in (1, TEXTS) for rows in (1, POSITIONS)}
    for mask, other in (addition.inputs(), addition.inputs()[::-1]):
        if sizes(mask) in shapes and origins.hiding.at(mask) and not origins.embedded.at(mask):
            return mask, other.get_source_output()
    raise Unknown


class _Way:
    """The way back through one attention."""

    def __init__(self, asked: Dependent) -> None:
        self._asked = asked
        self.through: list[Any] = []

    def back(self, output: Any, kind: str, *, turned: tuple[int, ...]) -> Any:
        """Return the node of a kind from which an output comes through nothing but scaling and turning.

        Args:
            output: Of rank 4.
            kind: The node's type.
            turned: How the output's axes lie in that node's output.

        Raises:
            Unknown: It does not.
        """
        axes: tuple[int, ...] = AS_IS
        node = output.get_node()
        while node.get_type_name() != kind:
            self.through.append(node)
            if node.get_type_name() == "Transpose":
                axes = _turned_back(axes, values(node.input(1)))
                node = source(node.input(0))
            else:
                node = self._unscaled(node)
        self.through.append(node)
        if axes != turned:
            raise Unknown
        return node

    def _unscaled(self, node: Any) -> Any:
        edges = [edge for edge in node.inputs() if self._asked.at(edge)]
        others = [edge for edge in node.inputs() if not self._asked.at(edge)]
        if node.get_type_name() not in SCALING or len(edges) != 1 or not all(map(_is_single, others)):
            raise Unknown
        return source(edges[0])

    def check_alone(self, exit_: Any) -> None:
        """Check that nothing but this attention reads what is computed on the way, the entries' data apart.

        Raises:
            Unknown: Something does.
        """
        inside = {node.get_name() for node in (*self.through, exit_)}
        for node in self.through:
            readers = (target.get_node() for target in node.output(0).get_target_inputs())
            if any(reader.get_name() not in inside for reader in readers):
                raise Unknown


def _is_single(edge: Any) -> bool:
    found = sizes(edge)
    return found is not None and set(found) <= {1}


def _turned_back(axes: tuple[int, ...], order: list[int] | None) -> tuple[int, ...]:
    """Return where the axes lie before a transposition."""
    if order is None or sorted(order) != list(AS_IS):
        raise Unknown
    return tuple(order[axis] for axis in axes)
