"""Finds a transformer's attentions and, between them, the part that treats each token by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlapi.engines.attention import Attention, Origins, read_attention
from mlapi.engines.nodes import HEAD_RANK, Dependent, Unknown, is_token_data, measured, rank
from mlapi.engines.tokenwise import Region

if TYPE_CHECKING:
    from types import ModuleType


@dataclass(frozen=True, slots=True)
class Layout:
    """The borders of the part that treats each token by itself; its data is (texts, positions, width).

    Attributes:
        mask: The model's input `attention_mask`.
        embedded: The output that is the sum of the embeddings.
        embedded_width: Numbers per token there.
        attentions: In order; all data leaves the part, and comes back, by them.
        selection: The node that takes each text's first token.
        selected_width: Numbers per token there.
        into_the_end: Inputs, between the last attention and the selection, of data from before it.
    """

    mask: Any
    embedded: Any
    embedded_width: int
    attentions: list[Attention]
    selection: Any
    selected_width: int
    into_the_end: list[Any]

    @property
    def last(self) -> Attention:
        """The last attention."""
        return self.attentions[-1]


def explore(model: Any, openvino: ModuleType) -> Layout:
    """Find the layout of an `openvino.Model`.

    Raises:
        Unknown: The graph has another form, or a node that may mix tokens.
        RuntimeError: The graph does not take TEXTS x POSITIONS.
    """
    with measured(model, openvino):
        return _explore(model.get_ordered_ops(), model.get_parameters())


def _explore(order: list[Any], parameters: list[Any]) -> Layout:
    norms = [node for node in order if node.get_type_name() == "MVN" and is_token_data(node.input(0))]
    exits = [node for node in order if _makes_tokens(node)]
    masks = [node for node in parameters if node.get_friendly_name() == "attention_mask"]
    if not norms or not exits or not masks:
        raise Unknown
    embedded = norms[0].input_value(0)
    origins = Origins(
        asked=Dependent(order, parameters),
        hiding=Dependent(order, masks, by_size=False),
        embedded=Dependent(order, [embedded.get_node()]),
    )
    attentions = [read_attention(exit_, origins) for exit_ in exits]
    whole, end = Region(origins.asked), Region(origins.asked)
    whole.follow([embedded, *(exit_.output(0) for exit_ in exits)])
    whole.check_closed({name for attention in attentions for name in attention.entries})
    end.follow([exits[-1].output(0)])
    if len(whole.selections) != 1:
        raise Unknown
    (selection,) = whole.selections.values()
    return Layout(
        mask=masks[0],
        embedded=embedded,
        embedded_width=embedded.get_shape()[2],
        attentions=attentions,
        selection=selection,
        selected_width=selection.input_value(0).get_shape()[2],
        into_the_end=end.edges_from_outside(),
    )


def _makes_tokens(node: Any) -> bool:
    if node.get_type_name() != "Reshape":
        return False
    return rank(node.input(0)) == HEAD_RANK and is_token_data(node.output(0))
