"""What stands between attentions: a graph that may mix tokens is left as it is, others answer as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlapi.engines.layout import explore
from mlapi.engines.nodes import POSITIONS, TEXTS, Unknown
from mlapi.engines.openvino import import_openvino
from tests.support.small_transformer import LONGEST, VOCABULARY, SmallTransformer
from tests.support.unpadded import check_same_bits, unpadded


class _OneLayer(SmallTransformer):
    """The first attention is the last."""

    layers = 1


class _ThreeLayers(SmallTransformer):
    """There are attentions before, between and after."""

    layers = 3


class _NormFirst(SmallTransformer):
    """The first norm stands in the first layer, and the sum of the embeddings goes past it."""

    def logits(self) -> Any:
        x = self.embeddings()
        for _ in range(self.layers):
            x = self.ops.add(x, self.attend(self.norm(x)))
            x = self.ops.add(x, self.feed_forward(self.norm(x)))
        return self.head(self.first_token(self.norm(x)))


class _NarrowEmbeddings(SmallTransformer):
    """Embeddings are narrower than what the layers work on."""

    def embeddings(self) -> Any:
        self.width = 6
        narrow = super().embeddings()
        self.width = SmallTransformer.width
        return narrow

    def norm(self, x: Any, axes: Any = (-1,)) -> Any:
        narrow = x.get_output_partial_shape(0)[2].get_length() == 6
        return self.linear(super().norm(x, axes), self.width) if narrow else super().norm(x, axes)


class _WideEnd(SmallTransformer):
    """The head's token is wider than those before."""

    def first_token(self, x: Any) -> Any:
        return super().first_token(self.linear(x, 40))


class _SumOfLayers(SmallTransformer):
    """The end reads the embeddings and each layer."""

    def logits(self) -> Any:
        x = self.norm(self.embeddings())
        total = x
        for _ in range(self.layers):
            x = self.layer(x)
            total = self.ops.add(self.ops.multiply(total, self.floats(0.7)), x)
        return self.head(self.first_token(total))


class _GatedByItself(SmallTransformer):
    """A number for each token multiplies its others."""

    def feed_forward(self, x: Any) -> Any:
        return self.ops.multiply(super().feed_forward(x), self.linear(x, 1))


class _Rounded(SmallTransformer):
    """Activations are rounded to eight bits, after a scale for each number of a token."""

    def activation(self, x: Any) -> Any:
        scaled = self.ops.multiply(super().activation(x), self.weights(1, 1, 2 * self.width))
        low, high = self.floats(-3), self.floats(3)
        return self.ops.fake_quantize(scaled, low, high, low, high, 256)


class _MatrixTurned(SmallTransformer):
    """Weights lie as a product that turns them needs them."""

    def activation(self, x: Any) -> Any:
        return self.product(x, self.weights(2 * self.width, 2 * self.width), turn_second=True)


@pytest.mark.parametrize(
    "kind",
    [
        SmallTransformer,
        _OneLayer,
        _ThreeLayers,
        _NormFirst,
        _NarrowEmbeddings,
        _WideEnd,
        _SumOfLayers,
        _GatedByItself,
        _Rounded,
        _MatrixTurned,
    ],
)
def test_tokenwise_graph_gives_the_same_bits(kind: type[SmallTransformer]) -> None:
    """If it fails, taking the padding out of a graph changes its answers."""
    check_same_bits(kind().model(), vocabulary=VOCABULARY, longest=LONGEST)


class _NoNorm(SmallTransformer):
    """Nothing says where the embeddings end."""

    def norm(self, x: Any, axes: Any = (-1,)) -> Any:
        del axes
        return x


class _NormOverTokens(SmallTransformer):
    """A norm takes all tokens of a text together."""

    def norm(self, x: Any, axes: Any = (1, 2)) -> Any:
        return super().norm(x, axes)


class _NormOverTexts(SmallTransformer):
    """A norm takes the texts of a batch together."""

    def activation(self, x: Any) -> Any:
        return self.norm(x, (0,))


class _PositionsLate(SmallTransformer):
    """Positions are added after the norm."""

    def embeddings(self) -> Any:
        return self.words()

    def norm(self, x: Any, axes: Any = (-1,)) -> Any:
        return self.ops.add(super().norm(x, axes), self.positions())


class _PositionsInTheLayer(SmallTransformer):
    """A number for each position is added in the last layer."""

    def feed_forward(self, x: Any) -> Any:
        return self.ops.add(super().feed_forward(x), self.positions())


class _ConstantForEachPosition(SmallTransformer):
    """A constant has a row for each position of the size that graphs are measured in."""

    def activation(self, x: Any) -> Any:
        return self.ops.add(x, self.weights(1, POSITIONS, 2 * self.width))


class _RoundedForEachPosition(SmallTransformer):
    """Ranges to round to differ from position to position."""

    def activation(self, x: Any) -> Any:
        low, high = self.floats(np.full((1, POSITIONS, 1), -1)), self.floats(np.ones((1, POSITIONS, 1)))
        return self.ops.fake_quantize(x, low, high, low, high, 256)


class _AddedAxis(SmallTransformer):
    """A constant adds an axis in front, and making heads takes it away."""

    def keys(self, x: Any) -> Any:
        x = self.ops.add(self.linear(x, self.width), self.weights(1, 1, 1, self.width))
        heads = self.ops.reshape(x, self.shape(self.heads, self.width // self.heads), special_zero=True)
        return self.turned(heads, 0, 2, 3, 1)


class _ScaledByLength(SmallTransformer):
    """Tokens are multiplied with a number that each text has from aside."""

    def activation(self, x: Any) -> Any:
        length = self.ops.reduce_mean(self.ops.convert(self.mask, "f32"), self.const([1]), keep_dims=True)
        return self.ops.multiply(x, self.ops.unsqueeze(length, self.const(2)))


class _ScaledByTheBatch(SmallTransformer):
    """Tokens are multiplied with a number that the whole batch has from aside."""

    def activation(self, x: Any) -> Any:
        share = self.ops.reduce_mean(self.ops.convert(self.mask, "f32"), self.const([0, 1]), keep_dims=True)
        return self.ops.multiply(x, share)


class _Shifted(SmallTransformer):
    """A token gets numbers of its neighbour."""

    def activation(self, x: Any) -> Any:
        return self.ops.add(x, self.ops.roll(x, self.const([1]), self.const([1])))


class _ProductOfTokens(SmallTransformer):
    """Tokens are multiplied with each other outside an attention."""

    def activation(self, x: Any) -> Any:
        return self.product(self.product(x, x, turn_second=True), x)


class _PositionsMixed(SmallTransformer):
    """Tokens are multiplied from the left, with a matrix of the size that graphs are measured in."""

    def activation(self, x: Any) -> Any:
        return self.product(self.weights(POSITIONS, POSITIONS), x)


class _MatrixForEachText(SmallTransformer):
    """Each text of as many as graphs are measured with has a matrix of its own."""

    def activation(self, x: Any) -> Any:
        return self.product(x, self.weights(TEXTS, 2 * self.width, 2 * self.width))


class _FirstTokenToAll(SmallTransformer):
    """Each token gets the first one's numbers."""

    def feed_forward(self, x: Any) -> Any:
        first = self.ops.gather(x, self.const([0]), self.const(1))
        return self.ops.add(super().feed_forward(x), first)


class _SecondToken(SmallTransformer):
    """The head reads the second token."""

    def first_token(self, x: Any) -> Any:
        return self.ops.gather(x, self.const(1), self.const(1))


class _LastToken(SmallTransformer):
    """The head reads the last token."""

    def first_token(self, x: Any) -> Any:
        return self.ops.gather(x, self.const(-1), self.const(1))


class _FirstText(SmallTransformer):
    """The head reads the first text's tokens."""

    def first_token(self, x: Any) -> Any:
        return self.ops.gather(x, self.const(0), self.const(0))


class _MeanOfTokens(SmallTransformer):
    """The head reads the mean of all tokens."""

    def first_token(self, x: Any) -> Any:
        return self.ops.reduce_mean(x, self.const([1]), keep_dims=False)


class _TwoSelections(SmallTransformer):
    """The head reads the first token of two layers."""

    def first_token(self, x: Any) -> Any:
        return self.ops.add(super().first_token(x), super().first_token(self.norm(x)))


class _TwoLayersRead(SmallTransformer):
    """The head reads the first token of the last layer and of the one before."""

    def logits(self) -> Any:
        x = self.layer(self.norm(self.embeddings()))
        return self.head(self.ops.add(self.first_token(x), self.first_token(self.layer(x))))


class _FirstTokenKept(SmallTransformer):
    """The first token is taken as a list of one."""

    def first_token(self, x: Any) -> Any:
        return self.ops.squeeze(self.ops.gather(x, self.const([0]), self.const(1)), self.const(1))


class _TokensGivenOut(SmallTransformer):
    """The model gives its tokens beside the logits."""

    def first_token(self, x: Any) -> Any:
        self.hidden = x
        return super().first_token(x)

    def further_outputs(self) -> dict[str, Any]:
        return {"last_hidden_state": self.hidden}


class _PositionsFirst(SmallTransformer):
    """Data is (positions, texts, width), as older translators have it."""

    def embeddings(self) -> Any:
        return self.turned(super().embeddings(), 1, 0, 2)

    def attend(self, x: Any) -> Any:
        return self.turned(super().attend(self.turned(x, 1, 0, 2)), 1, 0, 2)

    def first_token(self, x: Any) -> Any:
        return self.ops.gather(x, self.const(0), self.const(0))


class _AttentionBeforeTheNorm(SmallTransformer):
    """Tokens have been through an attention before the first norm."""

    def embeddings(self) -> Any:
        return self.attend(super().embeddings())


class _FewPositions(SmallTransformer):
    """The model takes a few tokens only."""

    def positions(self) -> Any:
        return self.weights(1, POSITIONS - 1, self.width)


@pytest.mark.parametrize(
    "kind",
    [
        _NoNorm,
        _NormOverTokens,
        _NormOverTexts,
        _PositionsLate,
        _PositionsInTheLayer,
        _ConstantForEachPosition,
        _RoundedForEachPosition,
        _AddedAxis,
        _ScaledByLength,
        _ScaledByTheBatch,
        _Shifted,
        _ProductOfTokens,
        _PositionsMixed,
        _MatrixForEachText,
        _FirstTokenToAll,
        _SecondToken,
        _LastToken,
        _FirstText,
        _MeanOfTokens,
        _TwoSelections,
        _TwoLayersRead,
        _FirstTokenKept,
        _TokensGivenOut,
        _PositionsFirst,
        _AttentionBeforeTheNorm,
        _FewPositions,
    ],
)
def test_graph_that_may_mix_tokens_is_left_alone(kind: type[SmallTransformer]) -> None:
    """If it fails, padding is taken from a graph whose answers then change."""
    model = kind().model()
    before = [(node.get_name(), str(node.output(0).get_partial_shape())) for node in _inner(model)]
    with pytest.raises((Unknown, RuntimeError)):
        explore(model, import_openvino())
    assert [(node.get_name(), str(node.output(0).get_partial_shape())) for node in _inner(model)] == before
    assert unpadded(model) is None


def _inner(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() != "Result"]
