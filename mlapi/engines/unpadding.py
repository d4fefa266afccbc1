"""Takes the padding out of a transformer's graph, and the tokens whose answers nobody reads.

Most of an encoder works on each token by itself: linear layers, normalisation, activation. Only attention
needs texts as rows of equal length. So the tokens of a batch are packed into one row, without padding, after
the embeddings; each attention gets the padded rectangle, of queries no more than the longest text has, and
what comes out of it is packed again. In the last layer, where a classifier reads each text's first token
alone, everything after its keys and values is computed for those tokens alone. (Zhai et al. 2023,
ByteTransformer, arXiv 2210.03052, packs in the same way.)

A text's answer does not depend on its batch, to the last bit: a row of a matrix product does not depend on
the other rows, and attention sees what it saw before. `OpenVinoEngine` says why that matters. Against the
graph as it was read, float32 answers of exported models have the same bits, and int8 ones differ where a bias
that is added at another place makes a number inside round the other way.

The graph is not trusted to be what it looks like: every node on the packed way must be one that treats each
token by itself, every other one part of an attention that hides the padding, or the graph stays as it is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mlapi.engines.attention import HEADS_FIRST, TURNED
from mlapi.engines.layout import explore
from mlapi.engines.nodes import POSITIONS, TEXTS, Unknown, measured, sizes, values

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from mlapi.engines.attention import Attention
    from mlapi.engines.layout import Layout

TOKENS, PLACES, FIRST = "packed_tokens", "packed_places", "packed_first"
ASKED, ANSWERED = "packed_asked", "packed_answered"
OWN = frozenset({TOKENS, PLACES, FIRST, ASKED, ANSWERED})
"""The inputs that the graph gets beside its own: the fields of `mlapi.engines.packing.Packing`."""

VERSION = 4
"""Of what is done to a graph: raise it with every change, so that no older compiled graph is taken for it."""

SMALLEST, HALF = 2.0**-16, 0.5
"""The smallest scale that is moved: no key comes near the smallest number there is. Of a power of two,
frexp(3) gives a half."""

MEASURED_ROW, MEASURED_ASKED = 24, 11
"""Sizes of a row, and of a text's queries, while a changed graph is measured; no other axis is so long."""


def unpad(model: Any, openvino: ModuleType) -> Any | None:
    """Return a changed copy of an `openvino.Model`, or None if it is no transformer of the known form.

    Args:
        model: Takes `input_ids` and `attention_mask` of shape (texts, positions).
        openvino: The module, with an operation set, `openvino.opset13`.
    """
    changed = model.clone()
    try:
        layout = explore(changed, openvino)
        rewriting = _Rewriting(openvino.opset13, layout)
        rewriting.run(changed)
        _check(changed, rewriting.kept, openvino)
    except (Unknown, RuntimeError):  # openvino raises the latter for whatever a graph cannot be
        return None
    return changed


def _check(model: Any, kept: Sequence[tuple[Any, int]], openvino: ModuleType) -> None:
    """Check the sizes of heads that the graph makes itself, maybe with those of data that has others now.

    Args:
        model: The changed graph.
        kept: The nodes that make them, each with how many positions there should be.
        openvino: The module.

    Raises:
        Unknown: One does not.
    """
    row, asked = [MEASURED_ROW], [TEXTS, MEASURED_ASKED]
    own = {TOKENS: row, PLACES: [TEXTS * POSITIONS], FIRST: [TEXTS], ASKED: asked, ANSWERED: row}
    with measured(model, openvino, own):
        for node, positions in kept:
            if (sizes(node.output(0)) or ())[:2] != (TEXTS, positions):
                raise Unknown


class _Rewriting:
    """The changes to one graph.

    Attributes:
        kept: The nodes that go on making heads for attentions, each with how many positions there should be.
    """

    def __init__(self, ops: ModuleType, layout: Layout) -> None:
        self.kept: list[tuple[Any, int]] = []
        self._ops = ops
        self._layout = layout
        self._tokens, self._places, self._first, self._answered = (
            _parameter(ops, name, rank=1) for name in (TOKENS, PLACES, FIRST, ANSWERED)
        )
        self._asked = _parameter(ops, ASKED, rank=2)
        self._axis = self._constant(1)
        self._texts, self._positions = (self._size(layout.mask, axis) for axis in (0, 1))
        self._most_asked = self._size(self._asked, 1)
        self._places_of: dict[tuple[int, bool], Any] = {}
        self._masks: dict[str, Any] = {}

    def run(self, model: Any) -> None:
        layout = self._layout
        last = layout.last
        for attention in layout.attentions:
            self._scale_keys_in_the_row(attention)
            self._turn_keys_in_the_product(attention)
            for name, entry in attention.entries.items():
                if entry != attention.queries:
                    self._enter(entry, attention.heads, attention.widths[name])
        self._pack_after(layout.embedded, layout.embedded_width)
        for attention in layout.attentions[:-1]:
            self._ask(attention)
        self.kept.append((last.queries, 1))
        self._first_tokens_only()
        chosen = layout.selection
        row = self._reshape(chosen.input_value(0), [-1, layout.selected_width])
        for target in list(chosen.output(0).get_target_inputs()):
            _feed(target, row)
        model.add_parameters([self._tokens, self._places, self._first, self._asked, self._answered])
        model.validate_nodes_and_infer_types()

    def _enter(self, entry: Any, heads: int, width: int, *, asked: bool = False) -> bool:
        """Lay a row (1, row, width) out as a rectangle for an attention, head by head if it wants it so.

        Args:
            entry: The node that makes heads.
            heads: How many.
            width: Numbers per token.
            asked: Whether it is the rectangle of queries, where heads come one by one.

        Returns:
            Whether they do.
        """
        row = entry.input_value(0)
        turns = [target.get_node() for target in entry.output(0).get_target_inputs()]
        if not all(_is_turned(node, HEADS_FIRST) for node in turns):
            _feed(entry.input(0), self._gathered(row, 1, width, asked=False))
            self.kept.append((entry, POSITIONS))
            return False
        depth = width // heads
        positions = self._most_asked if asked else self._positions
        shape = [self._texts, self._constant([heads]), positions, self._constant([depth])]
        rectangle = self._ops.reshape(
            self._gathered(row, heads, depth, asked=asked), self._ops.concat(shape, 0), special_zero=False
        )
        for turn in turns:
            for reader in list(turn.output(0).get_target_inputs()):
                _feed(reader, rectangle)
        return True

    def _ask(self, attention: Attention) -> None:
        """Have an attention answer queries up to the longest text's last, and pack the answers."""
        name = attention.queries.get_name()
        if not self._enter(attention.queries, attention.heads, attention.widths[name], asked=True):
            self._pack_after(attention.exit.output(0), attention.width)
            return
        _feed(attention.mask, self._rows_asked(attention.mask.get_source_output()))
        _feed(attention.exit.input(1), self._constant([1, -1, attention.width]))
        targets = list(attention.exit.output(0).get_target_inputs())
        packed = self._at(attention.exit.output(0), self._answered)
        for target in targets:
            _feed(target, packed)

    def _rows_asked(self, mask: Any) -> Any:
        """Return a mask's rows for the queries, or its one row for all of them."""
        name = f"{mask.get_node().get_name()}.{mask.get_index()}"
        if name not in self._masks:
            start, step, axis = (self._constant([number]) for number in (0, 1, 2))
            self._masks[name] = self._ops.slice(mask, start, self._most_asked, step, axis)
        return self._masks[name]

    def _gathered(self, row: Any, heads: int, depth: int, *, asked: bool) -> Any:
        """Return the numbers of each place of the rectangle, of shape (texts * heads * positions, depth).

        By `GatherND`, because OpenVINO moves an int8 product's scales and bias behind a `Gather`, where they
        are a pass of their own over the padding, too.
        """
        if (heads, asked) not in self._places_of:
            self._places_of[heads, asked] = self._places_of_heads(heads, asked=asked)
        return self._ops.gather_nd(self._reshape(row, [-1, depth]), self._places_of[heads, asked])

    def _places_of_heads(self, heads: int, *, asked: bool) -> Any:
        """Return where each head's part of each place of the rectangle lies, of shape (all of them, 1)."""
        if asked:
            places = self._ops.unsqueeze(self._asked, self._constant([1]))
        else:
            shape = self._ops.concat([self._texts, self._constant([1]), self._positions], 0)
            places = self._ops.reshape(self._places, shape, special_zero=False)
        parts = self._constant([[[head] for head in range(heads)]])
        return self._reshape(self._ops.add(self._ops.multiply(places, self._constant(heads)), parts), [-1, 1])

    def _scale_keys_in_the_row(self, attention: Attention) -> None:
        """Scale keys where they come out of their own product, which does it on the way, and not the scores.

        OpenVINO scales keys by itself, but in the rectangle, in a pass of its own.
        """
        if attention.scaling is None or attention.keys == attention.values:
            return
        numbers = [edge for edge in attention.scaling.inputs() if _is_harmless(values(edge))]
        if len(numbers) != 1:
            return
        keys = self._ops.multiply(attention.keys.input_value(0), numbers[0].get_source_output())
        _feed(attention.keys.input(0), keys)
        product = attention.scaling.input_value(1 - numbers[0].get_index())
        for reader in list(attention.scaling.output(0).get_target_inputs()):
            _feed(reader, product)

    def _turn_keys_in_the_product(self, attention: Attention) -> None:
        """Leave the turning of keys to the product where it is a step of its own, which copies them."""
        turned = [target.get_node() for target in attention.keys.output(0).get_target_inputs()]
        if len(turned) != 1 or not _is_turned(turned[0], TURNED):
            return
        for target in list(turned[0].output(0).get_target_inputs()):
            product = target.get_node()
            if product.get_type_name() != "MatMul" or product.get_attributes()["transpose_b"]:
                return
            heads = self._ops.transpose(attention.keys, self._constant(list(HEADS_FIRST)))
            scores = self._ops.matmul(product.input_value(0), heads, transpose_a=False, transpose_b=True)
            for reader in list(product.output(0).get_target_inputs()):
                _feed(reader, scores)

    def _pack_after(self, output: Any, width: int) -> None:
        """Pack (texts, positions, width) into (1, row, width) for all who read it."""
        targets = list(output.get_target_inputs())
        packed = self._at(self._reshape(output, [1, -1, width]), self._tokens)
        for target in targets:
            _feed(target, packed)

    def _first_tokens_only(self) -> None:
        """From the last attention on, keep each text's first token: its query, its mask, its residual."""
        layout, last = self._layout, self._layout.last
        _feed(last.queries.input(0), self._at(last.queries.input_value(0), self._first))
        _feed(last.queries.input(1), self._constant([-1, 1, last.heads, last.depth]))
        row = self._ops.gather(last.mask.get_source_output(), self._constant([0]), self._constant(2))
        _feed(last.mask, row)
        _feed(last.exit.input(1), self._constant([1, -1, last.width]))
        for edge in layout.into_the_end:
            _feed(edge, self._at(edge.get_source_output(), self._first))

    def _size(self, output: Any, axis: int) -> Any:
        """Return a size as it is when the graph runs, of shape (1,)."""
        return self._ops.gather(self._ops.shape_of(output), self._constant([axis]), self._constant(0))

    def _at(self, output: Any, places: Any) -> Any:
        return self._ops.gather(output, places, self._axis)

    def _reshape(self, output: Any, shape: list[int]) -> Any:
        return self._ops.reshape(output, self._constant(shape), special_zero=False)

    def _constant(self, value: int | list[Any]) -> Any:
        return self._ops.constant(np.array(value, dtype=np.int64))


def _is_turned(node: Any, axes: tuple[int, ...]) -> bool:
    return node.get_type_name() == "Transpose" and values(node.input(1)) == list(axes)


def _is_harmless(scale: list[Any] | None) -> bool:
    """Tell whether it may be multiplied with the factors instead of the product, and changes no bit."""
    return scale is not None and all(
        SMALLEST <= number <= 1 and math.frexp(number)[0] == HALF for number in scale
    )


def _parameter(ops: ModuleType, name: str, *, rank: int) -> Any:
    parameter = ops.parameter([-1] * rank, np.int64, name=name)
    parameter.output(0).set_names({name})
    return parameter


def _feed(target: Any, source: Any) -> None:
    target.replace_source_output(source.output(0) if hasattr(source, "get_friendly_name") else source)
