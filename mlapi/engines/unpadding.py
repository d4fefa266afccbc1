"""Takes the padding out of a transformer's graph, and the tokens whose answers nobody reads.

Most of an encoder works on each token by itself: linear layers, normalisation, activation. Only attention
needs texts as rows of equal length. So the tokens of a batch are packed into one row, without padding, after
the embeddings; each attention gets the padded rectangle, and what comes out of it is packed again. In the last
layer, where a classifier reads each text's first token alone, everything after its keys and values is
computed for those tokens alone. (Zhai et al. 2023, ByteTransformer, arXiv 2210.03052, packs in the same way.)

The answers are the same to the last bit: a row of a matrix product does not depend on the other rows, and
attention sees what it saw before. `OpenVinoEngine` says why that matters.

The graph is not trusted to be what it looks like: every node on the packed way must be one that treats each
token by itself, or the graph stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlapi.engines.tokenwise import HEAD_RANK, Unknown, explore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from mlapi.engines.tokenwise import Layout, Varying

TOKENS, PLACES, FIRST = "packed_tokens", "packed_places", "packed_first"
"""The inputs that the graph gets beside its own: the fields of `mlapi.engines.packing.Packing`."""

VERSION = 1
"""Of what is done to a graph: raise it with every change, so that no older compiled graph is taken for it."""

SCALING = frozenset({"Multiply", "Divide", "Convert", "Subtract", "FakeQuantize", "Transpose"})
"""What may stand between queries and their product with the keys."""


def unpad(model: Any, ops: ModuleType) -> bool:
    """Change an `openvino.Model` in place, if it is a transformer of the known form; tell whether it is.

    Args:
        model: Takes `input_ids` and `attention_mask` of shape (texts, positions).
        ops: An operation set of openvino, such as `openvino.opset13`.
    """
    try:
        layout = explore(model)
    except Unknown:
        return False
    _Rewriting(ops, layout).run(model)
    return True


class _Rewriting:
    """The changes to one graph."""

    def __init__(self, ops: ModuleType, layout: Layout) -> None:
        self._ops = ops
        self._layout = layout
        self._tokens, self._places, self._first = (_parameter(ops, name) for name in (TOKENS, PLACES, FIRST))
        self._axis = self._constant(1)

    def run(self, model: Any) -> None:
        layout = self._layout
        last = layout.last_exit
        attention = _Attention(last, layout.varying)
        queries = attention.queries()
        fits = queries in layout.entries and queries.get_output_partial_shape(0)[3].is_static
        mask = attention.mask() if fits else None
        short = mask is not None
        for entry in layout.entries:
            if not (short and entry == queries):
                _feed(entry.input(0), self._at(entry.input_value(0), self._places))
        for output in (layout.embedded, *(exit_.output(0) for exit_ in layout.exits if exit_ != last)):
            self._pack_after(output)
        if short:
            self._first_tokens_only(queries, mask)
        else:
            self._pack_after(last.output(0))
        chosen = layout.selection
        data = chosen.input_value(0) if short else self._at(chosen.input_value(0), self._first)
        row = self._ops.reshape(data, self._constant([-1, layout.width]), special_zero=False)
        for target in list(chosen.output(0).get_target_inputs()):
            _feed(target, row)
        model.add_parameters([self._tokens, self._places, self._first])
        model.validate_nodes_and_infer_types()

    def _pack_after(self, output: Any) -> None:
        """Pack (texts, positions, width) into (1, row, width) for all who read it."""
        targets = list(output.get_target_inputs())
        flat = self._ops.reshape(output, self._constant([1, -1, self._layout.width]), special_zero=False)
        packed = self._at(flat, self._tokens)
        for target in targets:
            _feed(target, packed)

    def _first_tokens_only(self, queries: Any, mask: Any) -> None:
        """From the last attention on, keep each text's first token: its query, its mask, its residual."""
        layout, last = self._layout, self._layout.last_exit
        depth = queries.get_output_partial_shape(0)[3].get_length()
        _feed(queries.input(0), self._at(queries.input_value(0), self._first))
        texts = self._ops.shape_of(self._first)
        shape = self._ops.concat([texts, *(self._constant([size]) for size in (1, -1, depth))], 0)
        _feed(queries.input(1), shape)
        row = self._ops.gather(mask.get_source_output(), self._constant([0]), self._constant(2))
        _feed(mask, row)
        _feed(last.input(1), self._constant([1, -1, layout.width]))
        for edge in layout.into_the_end:
            _feed(edge, self._at(edge.get_source_output(), self._first))

    def _at(self, output: Any, places: Any) -> Any:
        return self._ops.gather(output, places, self._axis)

    def _constant(self, value: int | list[int]) -> Any:
        return self._ops.constant(np.array(value, dtype=np.int64))


def _parameter(ops: ModuleType, name: str) -> Any:
    parameter = ops.parameter([-1], np.int64, name=name)
    parameter.output(0).set_names({name})
    return parameter


def _feed(target: Any, source: Any) -> None:
    target.replace_source_output(source.output(0) if hasattr(source, "get_friendly_name") else source)


class _Attention:
    """One attention, read from its exit backwards."""

    def __init__(self, exit_: Any, varying: Varying) -> None:
        self._exit = exit_
        self._varying = varying

    def queries(self) -> Any:
        """Return the node that makes heads of the queries, or None where the form is another."""
        product = self._back_to("MatMul", self._scores(), through={"Add", *SCALING})
        return self._back_to("Reshape", product and product.input_value(0).get_node(), through=SCALING)

    def mask(self) -> Any:
        """Return the input by which the mask is added to the scores, or None where the form is another."""
        addition = self._scores()
        if addition is None or addition.get_type_name() != "Add":
            return None
        return next((edge for edge in addition.inputs() if _is_mask(edge)), None)

    def _scores(self) -> Any:
        """Return the node whose output the softmax takes, or None."""
        transpose = self._exit.input_value(0).get_node()
        if transpose.get_type_name() != "Transpose":
            return None
        product = transpose.input_value(0).get_node()
        if product.get_type_name() != "MatMul":
            return None
        softmax = self._back_to("Softmax", product.input_value(0).get_node(), through=SCALING)
        return softmax and softmax.input_value(0).get_node()

    def _back_to(self, kind: str, node: Any, *, through: Iterable[str]) -> Any:
        """Go back, along what depends on the model's inputs, to a node of a kind; None if it is another."""
        while node is not None and node.get_type_name() in through:
            edges = [edge for edge in node.inputs() if self._varying.at(edge) and not _is_mask(edge)]
            node = edges[0].get_source_output().get_node() if len(edges) == 1 else None
        return node if node is not None and node.get_type_name() == kind else None


def _is_mask(edge: Any) -> bool:
    """Tell whether an input of shape (texts, heads, queries, keys) is the same for all heads."""
    shape = edge.get_partial_shape()
    if shape.rank.is_dynamic or len(shape) != HEAD_RANK:
        return False
    return bool(shape[1].is_static and shape[1].get_length() == 1)
