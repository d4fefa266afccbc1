"""A small transformer as an `openvino.Model`, each of whose steps a test can put another one in place of.

    class MeanOfTokens(SmallTransformer):
        def first_token(self, x):
            return self.ops.reduce_mean(x, self.const([1]), keep_dims=False)

    model = MeanOfTokens().model()

Made without torch, in milliseconds. Weights are random and large enough that attention, positions and padding
all matter to the answer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from mlapi.engines.openvino import import_openvino

if TYPE_CHECKING:
    from collections.abc import Sequence

VOCABULARY, LONGEST, LABELS = 50, 64, 3


class SmallTransformer:
    """Token ids and a mask in, logits out: embeddings, layers of attention and linear maps, first token.

    Attributes:
        ops: The operations of openvino.
        ids: The input of token ids, of shape (texts, positions).
        mask: The input of the mask, of the same shape.
    """

    layers = 2
    heads = 2
    width = 16

    def __init__(self) -> None:
        """Make the inputs."""
        self.openvino = import_openvino()
        self.ops = import_module("openvino.opset13")
        self._random = np.random.default_rng(0)
        self.inputs: dict[str, Any] = {}
        self.ids, self.mask = self.input("input_ids"), self.input("attention_mask")

    def input(self, name: str) -> Any:
        """Make one of the graph's inputs, int64 of shape (texts, positions)."""
        parameter = self.ops.parameter([-1, -1], np.int64, name=name)
        parameter.output(0).set_names({name})
        self.inputs[name] = parameter
        return parameter

    def model(self) -> Any:
        """Put the steps together."""
        outputs = {"logits": self.logits(), **self.further_outputs()}
        results = []
        for name, output in outputs.items():
            result = self.ops.result(output)
            result.output(0).set_names({name})
            results.append(result)
        return self.openvino.Model(results, list(self.inputs.values()), "small")

    def logits(self) -> Any:
        """Go from the inputs to the logits."""
        x = self.norm(self.embeddings())
        for _ in range(self.layers):
            x = self.layer(x)
        return self.head(self.first_token(x))

    def further_outputs(self) -> dict[str, Any]:
        """Return what the model gives beside its logits, by name."""
        return {}

    def embeddings(self) -> Any:
        """Sum the embeddings of tokens and positions."""
        return self.ops.add(self.words(), self.positions())

    def words(self) -> Any:
        """Return the embeddings of tokens, of shape (texts, positions, width)."""
        table = self.floats(self._random.standard_normal((VOCABULARY, self.width)) * 3)
        return self.ops.gather(table, self.ids, self.const(0))

    def positions(self) -> Any:
        """Return the embeddings of positions, of shape (1, positions, width)."""
        size = self.ops.slice(self.shape(), self.const([1]), self.const([2]), self.const([1]))
        table = self.weights(1, LONGEST, self.width)
        return self.ops.slice(table, self.const([0]), size, self.const([1]), self.const([1]))

    def layer(self, x: Any) -> Any:
        """Run one layer on (texts, positions, width)."""
        x = self.norm(self.ops.add(x, self.attend(x)))
        return self.norm(self.ops.add(x, self.feed_forward(x)))

    def attend(self, x: Any) -> Any:
        """Run an attention."""
        weights = self.ops.softmax(self.masked(self.scores(self.queries(x), self.keys(x))), -1)
        return self.linear(self.joined(self.product(weights, self.values(x))), self.width)

    def queries(self, x: Any) -> Any:
        """Return queries of shape (texts, heads, positions, depth)."""
        return self.turned(self.split(self.linear(x, self.width)), 0, 2, 1, 3)

    def keys(self, x: Any) -> Any:
        """Return keys of shape (texts, heads, depth, positions)."""
        return self.turned(self.split(self.linear(x, self.width)), 0, 2, 3, 1)

    def values(self, x: Any) -> Any:
        """Return values of shape (texts, heads, positions, depth)."""
        return self.turned(self.split(self.linear(x, self.width)), 0, 2, 1, 3)

    def scores(self, queries: Any, keys: Any) -> Any:
        """Return scaled scores of shape (texts, heads, positions, positions)."""
        product = self.product(queries, keys)
        return self.ops.multiply(product, self.floats((self.width / self.heads) ** -0.5))

    def masked(self, scores: Any) -> Any:
        """Hide the padding."""
        return self.ops.add(scores, self.hiding())

    def hiding(self) -> Any:
        """Return what is added to scores: nothing at tokens, very much less than nothing at padding."""
        padding = self.ops.subtract(self.floats(1), self.ops.convert(self.mask, "f32"))
        rows = self.ops.unsqueeze(padding, self.const([1, 2]))
        return self.ops.multiply(rows, self.floats(np.finfo(np.float32).min))

    def product(self, x: Any, y: Any, *, turn_first: bool = False, turn_second: bool = False) -> Any:
        """Multiply matrices."""
        return self.ops.matmul(x, y, transpose_a=turn_first, transpose_b=turn_second)

    def split(self, x: Any) -> Any:
        """Make heads of tokens: (texts, positions, heads, depth)."""
        depth = x.get_output_partial_shape(0)[2].get_length() // self.heads
        return self.ops.reshape(x, self.shape(self.heads, depth), special_zero=True)

    def joined(self, x: Any) -> Any:
        """Make tokens of heads."""
        return self.ops.reshape(self.turned(x, 0, 2, 1, 3), self.shape(self.all_heads(x)), special_zero=True)

    def all_heads(self, x: Any) -> int:
        """Return how many numbers all heads have together."""
        depth: int = x.get_output_partial_shape(0)[3].get_length()
        return self.heads * depth

    def feed_forward(self, x: Any) -> Any:
        """Run two linear maps with an activation between."""
        return self.linear(self.activation(self.linear(x, 2 * self.width)), self.width)

    def activation(self, x: Any) -> Any:
        """Bend a line."""
        return self.ops.multiply(x, self.ops.sigmoid(x))

    def first_token(self, x: Any) -> Any:
        """Return what the head works on, of shape (texts, width)."""
        return self.ops.gather(x, self.const(0), self.const(1))

    def head(self, x: Any) -> Any:
        """Return logits of shape (texts, LABELS)."""
        return self.linear(self.ops.tanh(self.linear(x, self.width)), LABELS)

    def norm(self, x: Any, axes: Sequence[int] = (-1,)) -> Any:
        """Normalise each token's numbers, then scale and shift them."""
        width = x.get_output_partial_shape(0)[2].get_length()
        even = self.ops.mvn(
            x, self.const(list(axes)), normalize_variance=True, eps=1e-12, eps_mode="inside_sqrt"
        )
        return self.ops.add(self.ops.multiply(even, self.vector(width, mean=1)), self.vector(width))

    def linear(self, x: Any, out: int) -> Any:
        """Multiply with a matrix and add a vector."""
        shape = x.get_output_partial_shape(0)
        matrix = self.weights(shape[len(shape) - 1].get_length(), out)
        return self.ops.add(self.product(x, matrix), self.vector(out))

    def shape(self, *further: int) -> Any:
        """Return the sizes of the input, followed by others."""
        sizes = self.ops.shape_of(self.ids)
        return self.ops.concat([sizes, self.const(list(further))], 0) if further else sizes

    def turned(self, x: Any, *order: int) -> Any:
        """Put the axes in another order."""
        return self.ops.transpose(x, self.const(list(order)))

    def weights(self, *shape: int) -> Any:
        """Draw random numbers that keep the variance of what they are multiplied with."""
        scale = shape[0] ** -0.5 if len(shape) == 2 else 1
        return self.floats(self._random.standard_normal(shape) * scale)

    def vector(self, size: int, mean: float = 0) -> Any:
        """Draw a vector of smaller random numbers, so that it does not hide what it is added to."""
        return self.floats(mean + 0.3 * self._random.standard_normal(size))

    def floats(self, value: Any) -> Any:
        """Make a constant of 32-bit floats."""
        return self.ops.constant(np.array(value, dtype=np.float32))

    def const(self, value: int | list[int]) -> Any:
        """Make a constant of integers."""
        return self.ops.constant(np.array(value, dtype=np.int64))
