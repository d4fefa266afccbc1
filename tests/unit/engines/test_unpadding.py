from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mlapi.engines import openvino as engine_module
from mlapi.engines.nodes import source, values
from mlapi.engines.openvino import OpenVinoEngine, import_openvino, shared_core
from mlapi.engines.unpadding import ANSWERED, ASKED, FIRST, OWN, PLACES, TOKENS, VERSION
from tests.support.model_directory import make_tiny_model
from tests.support.small_transformer import LONGEST, VOCABULARY, SmallTransformer
from tests.support.unpadded import Runner, batches, unpadded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STARTER = Path(__file__).parents[3] / "models" / "starter" / "onnx" / "model.int8.onnx"
STARTER_VOCABULARY = 5000
"""Ids up to this are words of the starter's vocabulary."""


def alone(engine: OpenVinoEngine, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Return what texts are answered with one by one."""
    return np.concatenate([engine.infer([ids]) for ids in batch])


def inputs(engine: OpenVinoEngine) -> set[str]:
    """Return the names of the inputs of what an engine runs."""
    return {node.any_name for node in engine._request.get_compiled_model().inputs}


def check_same_but_for_rounding(answers: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Check int8 answers: where a bias is added decides how a few numbers inside are rounded."""
    np.testing.assert_allclose(answers, expected, atol=0.03)


@pytest.mark.parametrize("threads", [1, 2])
def test_starter_answers_the_same_without_padding(threads: int) -> None:
    """If it fails, the shipped model does not answer as it did when it passed its gate."""
    engine = OpenVinoEngine(STARTER, threads=threads, pad_id=0)
    padded = Runner(shared_core().read_model(STARTER), threads=threads)
    same: list[NDArray[np.bool_]] = []
    for batch in batches(vocabulary=STARTER_VOCABULARY, longest=100, count=20):
        answers, expected = engine.infer(batch), padded.logits(batch)
        check_same_but_for_rounding(answers, expected)
        same.append(answers == expected)
        np.testing.assert_array_equal(alone(engine, batch), answers)
    assert np.concatenate(same).mean() > 0.75


def test_starter_runs_without_padding(caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, the shipped model has lost its speed, and every other test goes on passing."""
    with caplog.at_level(logging.INFO):
        engine = OpenVinoEngine(STARTER, threads=1, pad_id=0)
    assert inputs(engine) == {"input_ids", "attention_mask", *OWN}
    assert not caplog.records


def test_longest_text_stays_within_the_positions() -> None:
    """If it fails, the longest texts that a model takes end in an error."""
    engine = OpenVinoEngine(STARTER, threads=2, pad_id=0)
    padded = Runner(shared_core().read_model(STARTER))
    batch = [[7 + place % 900 for place in range(length)] for length in (512, 497, 3)]
    answers = engine.infer(batch)
    check_same_but_for_rounding(answers, padded.logits(batch))
    np.testing.assert_array_equal(alone(engine, batch), answers)


def test_order_and_company_do_not_matter() -> None:
    """If it fails, a text gets another's answer, or one that depends on what it shares a batch with."""
    engine = OpenVinoEngine(STARTER, threads=2, pad_id=0)
    *_, batch = batches(vocabulary=STARTER_VOCABULARY, longest=60, count=12)
    expected = alone(engine, batch)
    assert len(np.unique(expected, axis=0)) == len(batch) > 3
    for start in range(len(batch)):
        turned = [*batch[start:], *batch[:start]]
        np.testing.assert_array_equal(engine.infer(turned), np.roll(expected, -start, axis=0))


@pytest.mark.parametrize("texts", [1, 16, 17, 33])
def test_there_is_an_answer_for_each_text_and_no_more(texts: int) -> None:
    """If it fails, texts that only fill up a batch are answered too, and the batch ends in an error."""
    engine = OpenVinoEngine(STARTER, threads=2, pad_id=0)
    assert engine.infer([[7, 8, 9]] * texts).shape == (texts, 2)


def test_the_given_graph_is_not_changed() -> None:
    """If it fails, a graph that cannot be rewritten to the end is left half rewritten."""
    model = SmallTransformer().model()
    names = [node.get_name() for node in model.get_ordered_ops()]
    changed = unpadded(model)
    assert changed is not None
    assert {node.any_name for node in changed.inputs} > {node.any_name for node in model.inputs}
    assert [node.get_name() for node in model.get_ordered_ops()] == names
    batch = [[3, 4, 5], [6]]
    np.testing.assert_array_equal(Runner(model).logits(batch), Runner(changed).logits(batch))


def test_sizes_of_the_inputs_stay_open() -> None:
    """If it fails, a rewritten graph takes no batch but the one that it was measured with."""
    changed = unpadded(SmallTransformer().model())
    assert changed is not None
    shapes = {node.any_name: str(node.get_partial_shape()) for node in changed.inputs}
    assert shapes == {
        "input_ids": "[?,?]",
        "attention_mask": "[?,?]",
        TOKENS: "[?]",
        PLACES: "[?]",
        FIRST: "[?]",
        ASKED: "[?,?]",
        ANSWERED: "[?]",
    }


def test_linear_layers_run_on_the_row_and_the_end_on_first_tokens() -> None:
    """If it fails, a graph is rewritten and still computes with padding, or all tokens to the end."""
    changed = _five_texts_of_32(SmallTransformer().model())
    products = [node for node in changed.get_ordered_ops() if node.get_type_name() == "MatMul"]
    rows = sorted(tuple(node.output(0).get_shape())[:-1] for node in products if _has_weights(node))
    # A layer has linear maps for queries, keys and values, for what comes out, and two after that; then
    # comes the head with two.
    assert rows == [*[(1, 5)] * 3, *[(1, 40)] * (6 + 3), *[(5,)] * 2]


def test_no_layer_asks_for_more_than_the_longest_text() -> None:
    """If it fails, attention goes on computing answers for padding, which nobody reads."""
    for model in (SmallTransformer().model(), shared_core().read_model(STARTER)):
        changed = _five_texts_of_32(model, asked=20)
        scores = [
            tuple(node.output(0).get_shape())[2:]
            for node in changed.get_ordered_ops()
            if node.get_type_name() == "Softmax"
        ]
        assert scores == [(20, 32)] * (len(scores) - 1) + [(1, 32)]
        assert len(scores) > 1


def _five_texts_of_32(model: Any, *, asked: int = 32) -> Any:
    """Return a graph as it is changed, with sizes."""
    changed = unpadded(model)
    assert changed is not None
    sizes = {"input_ids": [5, 32], "attention_mask": [5, 32], TOKENS: [40], PLACES: [160], FIRST: [5]}
    sizes |= {ASKED: [5, asked], ANSWERED: [40]}
    openvino = import_openvino()
    for parameter in changed.get_parameters():
        parameter.set_partial_shape(openvino.PartialShape(sizes[parameter.get_friendly_name()]))
    changed.validate_nodes_and_infer_types()
    return changed


def test_attention_gets_its_heads_by_gather_nd_and_turns_nothing_itself() -> None:
    """If it fails, each attention has passes more over queries, keys and values."""
    changed = unpadded(shared_core().read_model(STARTER))
    assert changed is not None
    nodes = changed.get_ordered_ops()
    turns = [values(node.input(1)) for node in nodes if node.get_type_name() == "Transpose"]
    attentions = sum(node.get_type_name() == "Softmax" for node in nodes)
    depths = [
        node.output(0).get_partial_shape()[1].get_length()
        for node in nodes
        if node.get_type_name() == "GatherND" and len(node.output(0).get_partial_shape()) == 2
    ]
    assert depths == [32] * (3 * attentions - 1)  # the queries of the last one are those of first tokens
    assert turns == [[0, 2, 1, 3]] * (attentions + 1)  # what comes out, and those queries
    assert attentions > 1


@pytest.mark.parametrize(("heads", "scaled"), [(1, "row"), (2, "scores")])
def test_keys_are_scaled_in_the_row_where_that_changes_no_bit(heads: int, scaled: str) -> None:
    """If it fails, each attention has a pass more over its keys, or float32 models answer with other bits."""

    class OfSomeHeads(SmallTransformer):
        pass

    OfSomeHeads.heads = heads
    changed = unpadded(OfSomeHeads().model())
    assert changed is not None
    scale = np.float32((OfSomeHeads.width / heads) ** -0.5)
    scalings = [
        node
        for node in changed.get_ordered_ops()
        if node.get_type_name() == "Multiply" and scale in (values(node.input(1)) or [])
    ]
    places = {("Add", "Reshape"): "row", ("MatMul", "Add"): "scores"}
    found = [places.get((source(node.input(0)).get_type_name(), _reader(node))) for node in scalings]
    assert found == [scaled] * OfSomeHeads.layers


def _reader(node: Any) -> str:
    (target,) = node.output(0).get_target_inputs()
    return str(target.get_node().get_type_name())


def _has_weights(product: Any) -> bool:
    return bool(product.input_value(1).get_node().get_type_name() == "Constant")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A directory for compiled graphs."""
    return tmp_path / "cache"


BATCH = [[5, 6, 7, 8], [9], [10, 11]]


def test_second_start_reads_the_rewritten_graph(cache: Path) -> None:
    """If it fails, what is kept between starts runs with padding, or answers otherwise."""
    first = OpenVinoEngine(STARTER, threads=1, pad_id=0, cache_dir=cache)
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    second = OpenVinoEngine(STARTER, threads=1, pad_id=0, cache_dir=cache)
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [written]
    assert inputs(second) == inputs(first) > OWN
    np.testing.assert_array_equal(second.infer(BATCH), first.infer(BATCH))


def test_graph_compiled_by_another_version_is_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, a release that rewrites graphs otherwise goes on running what an older one made."""
    monkeypatch.setattr(engine_module, "VERSION", VERSION - 1)
    OpenVinoEngine(STARTER, threads=1, pad_id=0, cache_dir=cache).close()
    older = set(cache.iterdir())
    monkeypatch.undo()
    OpenVinoEngine(STARTER, threads=1, pad_id=0, cache_dir=cache).close()
    assert len(older) == 1
    assert len(set(cache.iterdir()) - older) == 1


def test_unknown_graph_runs_with_padding_and_says_so_once(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a graph of another form is answered wrongly, or nobody learns why it is slower."""
    tiny = make_tiny_model(tmp_path / "model")
    graph = tiny.path / "onnx" / "onnx-fp32.onnx"
    texts = ["a great film", "the plot is dull and terrible", "x"]
    for _ in range(2):  # compiled, then from the cache
        caplog.clear()
        with caplog.at_level(logging.INFO):
            engine = OpenVinoEngine(graph, threads=1, pad_id=0, cache_dir=cache)
            logits = engine.infer([tiny.ids(text) for text in texts])
        assert inputs(engine) == {"input_ids", "attention_mask"}
        np.testing.assert_allclose(logits, [tiny.logits(text) for text in texts], atol=1e-5)
        (message,) = [record.getMessage() for record in caplog.records]
        assert message == "the graph of onnx-fp32.onnx has a form of its own: it runs with padding"


def test_small_graphs_tell_texts_apart() -> None:
    """If it fails, the graphs that tests compare answer alike to everything, and nothing is compared."""
    runner = Runner(SmallTransformer().model())
    *_, batch = batches(vocabulary=VOCABULARY, longest=LONGEST)
    logits = runner.logits(batch)
    assert len(batch) > 3
    assert np.ptp(logits, axis=0).min() > 1
    other_ends = runner.logits([[*ids[:-1], 1 + ids[-1] % (VOCABULARY - 1)] for ids in batch])
    assert np.abs(other_ends - logits).max(axis=1).min() > 1e-3
