"""Reads the nodes of an `openvino.Model`, in sizes that tell its axes apart.

As read, most sizes in a graph are unknown, and a text's axis looks like a token's. `measured` gives the
inputs sizes for a while: then every shape is a fact that can be compared.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import ModuleType

TEXTS, POSITIONS = 7, 13
"""The sizes given. They are odd on purpose: a number of heads, or of numbers per head, is no such size."""

TOKEN_RANK, HEAD_RANK = 3, 4
"""Data of tokens is (texts, positions, width); in heads, (texts, positions, heads, depth), or turned."""


class Unknown(Exception):  # noqa: N818 - an answer, caught where it is asked for
    """The graph is not of the form that is looked for."""


@contextmanager
def measured(
    model: Any, openvino: ModuleType, others: Mapping[str, Sequence[int]] | None = None
) -> Iterator[None]:
    """Give a model's inputs fixed sizes, and afterwards those that they had.

    Args:
        model: An `openvino.Model`.
        openvino: The module.
        others: By name, the sizes of inputs that are not TEXTS x POSITIONS.

    Raises:
        RuntimeError: The graph does not take such sizes; what OpenVINO raises then.
    """
    before = [(parameter, parameter.get_partial_shape()) for parameter in model.get_parameters()]
    for parameter, _ in before:
        wanted = (others or {}).get(parameter.get_friendly_name(), (TEXTS, POSITIONS))
        parameter.set_partial_shape(openvino.PartialShape(list(wanted)))
    try:
        model.validate_nodes_and_infer_types()
        yield
    finally:
        for parameter, shape in before:
            parameter.set_partial_shape(shape)
        model.validate_nodes_and_infer_types()


def sizes(port: Any) -> tuple[int, ...] | None:
    """Return the sizes of an input or output, or None where they depend on more than the inputs' sizes."""
    shape = port.get_partial_shape()
    return tuple(shape.to_shape()) if shape.is_static else None


def rank(port: Any) -> int | None:
    """Return how many sizes an input or output has, or None where they are not known."""
    found = sizes(port)
    return None if found is None else len(found)


def is_token_data(port: Any) -> bool:
    """Tell whether the sizes are (texts, positions, numbers per token)."""
    return rank(port) == TOKEN_RANK and (sizes(port) or ())[:2] == (TEXTS, POSITIONS)


def values(edge: Any) -> list[Any] | None:
    """Return the numbers that an input reads from a constant, or None if it reads no constant."""
    node = source(edge)
    return node.get_data().ravel().tolist() if node.get_type_name() == "Constant" else None


def source(edge: Any) -> Any:
    """Return the node that an input reads."""
    return edge.get_source_output().get_node()


class Dependent:
    """Which nodes depend on some others."""

    def __init__(self, order: Iterable[Any], seeds: Iterable[Any], *, by_size: bool = True) -> None:
        """Go through all nodes, each after those that it reads.

        Args:
            order: All nodes of a model.
            seeds: Nodes that count as dependent themselves.
            by_size: Whether a node depends on another of which it takes the size alone.
        """
        self._names = {node.get_name() for node in seeds}
        for node in order:
            if any(map(self.at, node.inputs())) and (by_size or node.get_type_name() != "ShapeOf"):
                self._names.add(node.get_name())

    def at(self, edge: Any) -> bool:
        """Tell whether what an input reads is dependent."""
        return source(edge).get_name() in self._names
