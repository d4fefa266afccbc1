"""Attentions of other forms than the one that is known: each is left as it is, or answers as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlapi.engines.layout import explore
from mlapi.engines.nodes import POSITIONS, Unknown
from mlapi.engines.openvino import import_openvino
from tests.support.small_transformer import LONGEST, VOCABULARY, SmallTransformer
from tests.support.unpadded import Runner, check_same_bits, unpadded


class _MaskThatVariesByQuery(SmallTransformer):
    """Each token sees itself and those after it: the first one's row of the mask is no other's."""

    def hiding(self) -> Any:
        size = self.ops.gather(self.shape(), self.const(1), self.const(0))
        places = self.ops.range(self.const(0), size, self.const(1), "i64")
        earlier = self.ops.less(
            self.ops.unsqueeze(places, self.const([0, 1, 2])),
            self.ops.unsqueeze(places, self.const([0, 1, 3])),
        )
        hidden = self.ops.multiply(self.ops.convert(earlier, "f32"), self.floats(-3e38))
        return self.ops.minimum(super().hiding(), hidden)


class _SecondInTheProductTurnedByIt(SmallTransformer):
    """Keys lie as queries do, and their product turns them."""

    def keys(self, x: Any) -> Any:
        return self.turned(super().keys(x), 0, 1, 3, 2)

    def scores(self, queries: Any, keys: Any) -> Any:
        return self.ops.multiply(self.product(queries, keys, turn_second=True), self.floats(0.3))


class _MaskFirst(SmallTransformer):
    """The mask stands on the left of the sum."""

    def masked(self, scores: Any) -> Any:
        return self.ops.add(self.hiding(), scores)


class _OneHead(SmallTransformer):
    """Scores and mask are of one shape, and the scale is a power of two."""

    heads = 1


class _ScaleFirst(_OneHead):
    """The scale stands on the left of the product."""

    def scores(self, queries: Any, keys: Any) -> Any:
        return self.ops.multiply(self.floats(0.25), self.product(queries, keys))


class _KeysInSteps(_OneHead):
    """Keys are rounded to few steps and cut off, which scaled keys would be in other places."""

    def keys(self, x: Any) -> Any:
        low, high = self.floats(-0.5), self.floats(0.5)
        return self.ops.fake_quantize(super().keys(x), low, high, low, high, 5)


class _ScoresInSteps(_OneHead):
    """The same of the scores before they are scaled."""

    def scores(self, queries: Any, keys: Any) -> Any:
        low, high = self.floats(-0.5), self.floats(0.5)
        scores = self.ops.fake_quantize(self.product(queries, keys), low, high, low, high, 5)
        return self.ops.multiply(scores, self.floats(0.25))


class _WiderValues(SmallTransformer):
    """A head's values have more numbers than its queries."""

    def values(self, x: Any) -> Any:
        return self.turned(self.split(self.linear(x, 3 * self.width)), 0, 2, 1, 3)


class _KeysAreValues(SmallTransformer):
    """Keys and values are one."""

    def keys(self, x: Any) -> Any:
        self.shared = self.split(self.linear(x, self.width))
        return self.turned(self.shared, 0, 2, 3, 1)

    def values(self, x: Any) -> Any:
        del x
        return self.turned(self.shared, 0, 2, 1, 3)


class _KeysAreValuesScaled(_KeysAreValues):
    """The same with a scale that is a power of two, and is the keys' alone."""

    heads = 1


class _SizesCopied(SmallTransformer):
    """Heads are made with sizes copied from the tokens', which are others once packed."""

    def split(self, x: Any) -> Any:
        depth = self.width // self.heads
        return self.ops.reshape(x, self.const([0, 0, self.heads, depth]), special_zero=True)


class _TwoAtOnce(SmallTransformer):
    """A layer sums two attentions."""

    def attend(self, x: Any) -> Any:
        return self.ops.add(super().attend(x), super().attend(x))


@pytest.mark.parametrize(
    "kind",
    [
        _MaskThatVariesByQuery,
        _SecondInTheProductTurnedByIt,
        _MaskFirst,
        _OneHead,
        _ScaleFirst,
        _KeysInSteps,
        _ScoresInSteps,
        _WiderValues,
        _KeysAreValues,
        _KeysAreValuesScaled,
        _SizesCopied,
        _TwoAtOnce,
    ],
)
def test_other_attention_gives_the_same_bits(kind: type[SmallTransformer]) -> None:
    """If it fails, a model whose attention is written in another way is answered wrongly without padding."""
    check_same_bits(kind().model(), vocabulary=VOCABULARY, longest=LONGEST)


class _NoMask(SmallTransformer):
    """Padding is seen."""

    def masked(self, scores: Any) -> Any:
        return scores


class _MaskOfTheSizeAlone(SmallTransformer):
    """What is added hides nothing: it comes from the mask's shape."""

    def hiding(self) -> Any:
        sizes = self.ops.concat([self.ops.shape_of(self.mask), self.const([1, 1])], 0)
        return self.turned(self.ops.broadcast(self.floats(-1), sizes), 0, 2, 3, 1)


class _MaskOfTheTokens(SmallTransformer):
    """What is hidden depends on what stands in the place of padding."""

    def attend(self, x: Any) -> Any:
        self.seen = self.ops.reduce_mean(self.split(x), self.const([2, 3]), keep_dims=True)
        return super().attend(x)

    def hiding(self) -> Any:
        return self.ops.add(super().hiding(), self.turned(self.seen, 0, 2, 3, 1))


class _TwoMasks(SmallTransformer):
    """Another bias for each pair of places is added before the mask."""

    def masked(self, scores: Any) -> Any:
        sizes = self.ops.shape_of(scores)
        bias = self.ops.broadcast(self.floats(0.5), sizes)
        return super().masked(self.ops.add(scores, bias))


class _MaskForEachHead(SmallTransformer):
    """Heads differ in what they see."""

    def hiding(self) -> Any:
        return self.ops.multiply(super().hiding(), self.floats([[[[1]], [[0]]]]))


class _SoftmaxOverQueries(SmallTransformer):
    """Weights sum to one over the queries, so each needs all of them."""

    def attend(self, x: Any) -> Any:
        weights = self.ops.softmax(self.masked(self.scores(self.queries(x), self.keys(x))), 2)
        return self.joined(self.product(weights, self.values(x)))


class _OffsetAfterSoftmax(SmallTransformer):
    """Padding has a weight again after the softmax."""

    def attend(self, x: Any) -> Any:
        weights = self.ops.softmax(self.masked(self.scores(self.queries(x), self.keys(x))), -1)
        weights = self.ops.add(weights, self.floats(0.01))
        return self.joined(self.product(weights, self.values(x)))


class _ScaleForEachToken(SmallTransformer):
    """Scores are multiplied with a number for each key."""

    def scores(self, queries: Any, keys: Any) -> Any:
        lengths = self.ops.convert(self.ops.unsqueeze(self.mask, self.const([1, 2])), "f32")
        return self.ops.multiply(super().scores(queries, keys), lengths)


class _ScaleForEachPlace(SmallTransformer):
    """Scores are multiplied with a constant for each place of the size that graphs are measured in."""

    def scores(self, queries: Any, keys: Any) -> Any:
        return self.ops.multiply(super().scores(queries, keys), self.weights(1, 1, 1, POSITIONS))


class _QueriesAreKeys(SmallTransformer):
    """Queries and keys are one: the first query cannot go without the other keys."""

    def queries(self, x: Any) -> Any:
        self.shared = self.split(self.linear(x, self.width))
        return self.turned(self.shared, 0, 2, 1, 3)

    def keys(self, x: Any) -> Any:
        del x
        return self.turned(self.shared, 0, 2, 3, 1)


class _ScoresTurned(SmallTransformer):
    """Keys meet queries, and the product is turned: the first factor is not the queries."""

    def scores(self, queries: Any, keys: Any) -> Any:
        turned = self.product(self.turned(keys, 0, 1, 3, 2), self.turned(queries, 0, 1, 3, 2))
        return self.turned(turned, 0, 1, 3, 2)


class _FirstInTheProductTurnedByIt(SmallTransformer):
    """Queries lie as keys do, and their product turns them."""

    def queries(self, x: Any) -> Any:
        return self.turned(super().queries(x), 0, 1, 3, 2)

    def scores(self, queries: Any, keys: Any) -> Any:
        return self.product(queries, keys, turn_first=True)


class _WeightsTurnedByTheProduct(SmallTransformer):
    """Values are summed over queries instead of keys."""

    def attend(self, x: Any) -> Any:
        weights = self.ops.softmax(self.masked(self.scores(self.queries(x), self.keys(x))), -1)
        return self.joined(self.product(weights, self.values(x), turn_first=True))


class _HeadsForOthers(SmallTransformer):
    """Heads are made that are no attention's, and the head reads their mean over all places."""

    def first_token(self, x: Any) -> Any:
        mean = self.ops.reduce_mean(self.split(x), self.const([1, 2]), keep_dims=False)
        return self.ops.add(super().first_token(x), self.ops.tile(mean, self.const([1, self.heads])))


class _ValuesMixed(SmallTransformer):
    """Values are not those of single tokens."""

    def values(self, x: Any) -> Any:
        return self.ops.cum_sum(super().values(x), self.const(2), reverse=True)


class _WeightsGivenOut(SmallTransformer):
    """The model gives its attention's weights beside the logits."""

    def attend(self, x: Any) -> Any:
        self.weights_out = self.ops.softmax(self.masked(self.scores(self.queries(x), self.keys(x))), -1)
        return self.joined(self.product(self.weights_out, self.values(x)))

    def further_outputs(self) -> dict[str, Any]:
        return {"attentions": self.weights_out}


class _FewerHeads(SmallTransformer):
    """Keys and values have one head, which the products take for each of the queries'."""

    fewer: tuple[str, ...] = ("keys", "values")

    def queries(self, x: Any) -> Any:
        return self.turned(self._heads(x, "queries"), 0, 2, 1, 3)

    def keys(self, x: Any) -> Any:
        return self.turned(self._heads(x, "keys"), 0, 2, 3, 1)

    def values(self, x: Any) -> Any:
        return self.turned(self._heads(x, "values"), 0, 2, 1, 3)

    def _heads(self, x: Any, which: str) -> Any:
        heads, depth = 1 if which in self.fewer else self.heads, self.width // self.heads
        shape = self.shape(heads, depth)
        return self.ops.reshape(self.linear(x, heads * depth), shape, special_zero=True)

    def all_heads(self, x: Any) -> Any:
        del x
        return self.width


class _FewerHeadsOfQueries(_FewerHeads):
    fewer = ("queries",)


class _FewerHeadsOfKeys(_FewerHeads):
    fewer = ("keys",)


class _FewerHeadsOfValues(_FewerHeads):
    fewer = ("values",)


class _TokensOfHeadsDirectly(SmallTransformer):
    """Heads become tokens in another order than that of the tokens."""

    def joined(self, x: Any) -> Any:
        return self.ops.reshape(self.turned(x, 0, 2, 3, 1), self.shape(self.all_heads(x)), special_zero=True)


@pytest.mark.parametrize(
    "kind",
    [
        _NoMask,
        _MaskOfTheSizeAlone,
        _MaskOfTheTokens,
        _TwoMasks,
        _MaskForEachHead,
        _SoftmaxOverQueries,
        _OffsetAfterSoftmax,
        _ScaleForEachToken,
        _ScaleForEachPlace,
        _QueriesAreKeys,
        _ScoresTurned,
        _FirstInTheProductTurnedByIt,
        _WeightsTurnedByTheProduct,
        _HeadsForOthers,
        _ValuesMixed,
        _WeightsGivenOut,
        _FewerHeads,
        _FewerHeadsOfQueries,
        _FewerHeadsOfKeys,
        _FewerHeadsOfValues,
        _TokensOfHeadsDirectly,
    ],
)
def test_unknown_attention_is_left_alone(kind: type[SmallTransformer]) -> None:
    """If it fails, padding is taken from a model for which nobody has shown that it may be."""
    model = kind().model()
    with pytest.raises((Unknown, RuntimeError)):
        explore(model, import_openvino())
    assert unpadded(model) is None


class _SharedSizesCopied(_SizesCopied, _KeysAreValues):
    """The same where keys and values are turned in two ways, so that their heads stay as they are made."""


def test_graph_that_does_not_come_out_right_is_left_alone() -> None:
    """If it fails, a graph that looks known, and is not, ends the start instead of running with padding."""
    model = _SharedSizesCopied().model()
    names = [node.any_name for node in model.inputs]
    batch = [[3, 4, 5], [6]]
    before = Runner(model).logits(batch)
    assert unpadded(model) is None
    assert [node.any_name for node in model.inputs] == names
    np.testing.assert_array_equal(Runner(model).logits(batch), before)
