from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mlapi.engines.onnx import OnnxEngine
from mlapi.errors import ModelError
from tests.support.model_directory import GOLDEN_TEXTS, TinyModel, make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TEXTS = [*GOLDEN_TEXTS, "i love this lovely movie and the music", "not very good", "x"]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyModel:
    """Return a model directory of the test's own."""
    return make_tiny_model(tmp_path / "model")


def _graph(tiny: TinyModel) -> Path:
    return tiny.path / "onnx" / "onnx-fp32.onnx"


def _rename(path: Path, old: str, new: str) -> None:
    """Rename an input or output of a graph, and its uses."""
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    onnx.save(model, str(path))


def _add_input(path: Path, name: str) -> None:
    model = onnx.load(str(path))
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]))
    if name == "token_type_ids":  # make the answer depend on it: token types are added to the mask
        cast = next(node for node in model.graph.node if node.op_type == "Cast")
        cast.input[0] = "kept_types"
        model.graph.node.insert(0, helper.make_node("Add", ["attention_mask", name], ["kept_types"]))
    onnx.save(model, str(path))


def test_single_texts_give_the_logits_computed_by_hand(tiny: TinyModel) -> None:
    """If it fails, the engine feeds the graph something else than the ids, or returns something else."""
    engine = OnnxEngine(_graph(tiny), threads=1, pad_id=0)
    for text in TEXTS:
        logits = engine.infer([tiny.ids(text)])
        assert logits.shape == (1, 2)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits[0], tiny.logits(text), atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_batch_gives_what_single_texts_give(tiny: TinyModel, threads: int) -> None:
    """If it fails, a text's answer depends on the texts it is batched with."""
    engine = OnnxEngine(_graph(tiny), threads=threads, pad_id=0)
    batch = [tiny.ids(text) for text in TEXTS]
    single = np.concatenate([engine.infer([ids]) for ids in batch])
    np.testing.assert_allclose(engine.infer(batch), single, atol=1e-5)
    np.testing.assert_allclose(engine.infer(batch[::-1]), single[::-1], atol=1e-5)


def test_padding_id_does_not_reach_the_answer(tiny: TinyModel) -> None:
    """If it fails, padding is not masked."""
    batch = [tiny.ids(text) for text in TEXTS]
    first, second = (OnnxEngine(_graph(tiny), threads=1, pad_id=pad_id).infer(batch) for pad_id in (0, 7))
    np.testing.assert_array_equal(first, second)


def test_graph_with_token_types_is_fed_zeros(tiny: TinyModel) -> None:
    """If it fails, BERT exports, which have a third input, cannot be served, or see a second segment."""
    expected = OnnxEngine(_graph(tiny), threads=1, pad_id=0).infer([tiny.ids(text) for text in TEXTS])
    _add_input(_graph(tiny), "token_type_ids")
    engine = OnnxEngine(_graph(tiny), threads=1, pad_id=0)
    np.testing.assert_array_equal(engine.infer([tiny.ids(text) for text in TEXTS]), expected)


@pytest.mark.parametrize("missing", ["input_ids", "attention_mask"])
def test_graph_without_an_input_is_refused(tiny: TinyModel, missing: str) -> None:
    """If it fails, a graph of another kind is found out by the first request instead of at the start."""
    _rename(_graph(tiny), missing, "pixels")
    with pytest.raises(ModelError) as caught:
        OnnxEngine(_graph(tiny), threads=1, pad_id=0)
    present = ({"input_ids", "attention_mask", "pixels"} - {missing}) - {"pixels"}
    assert str(caught.value) == (
        f"{_graph(tiny)} takes {', '.join(sorted({*present, 'pixels'}))}, not input_ids and attention_mask"
    )


def test_graph_with_a_further_input_is_refused(tiny: TinyModel) -> None:
    """If it fails, a graph that needs more than a text is found out by the first request."""
    _add_input(_graph(tiny), "position_ids")
    with pytest.raises(ModelError, match="takes attention_mask, input_ids, position_ids"):
        OnnxEngine(_graph(tiny), threads=1, pad_id=0)


def test_graph_without_logits_is_refused(tiny: TinyModel) -> None:
    """If it fails, a graph with another output is found out by the first request."""
    _rename(_graph(tiny), "logits", "last_hidden_state")
    with pytest.raises(ModelError, match="gives last_hidden_state, not logits"):
        OnnxEngine(_graph(tiny), threads=1, pad_id=0)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x09" * 50])
def test_corrupt_graph_is_named(tiny: TinyModel, content: bytes) -> None:
    """If it fails, a damaged graph ends in an exception of the runtime's own, without advice."""
    _graph(tiny).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        OnnxEngine(_graph(tiny), threads=1, pad_id=0)
    assert str(caught.value) == f"{_graph(tiny)} cannot be loaded by ONNX Runtime; export the model anew"


def test_cut_off_graph_is_named(tiny: TinyModel) -> None:
    """If it fails, an interrupted copy of a graph is loaded, or crashes the process."""
    _graph(tiny).write_bytes(_graph(tiny).read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded by ONNX Runtime"):
        OnnxEngine(_graph(tiny), threads=1, pad_id=0)


def test_missing_graph_is_named(tmp_path: Path) -> None:
    """If it fails, a missing graph ends in an exception of the runtime's own."""
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be loaded"):
        OnnxEngine(tmp_path / "gone.onnx", threads=1, pad_id=0)


@pytest.mark.parametrize("batch", [[], [[10**6]], [[-(10**6)]]])
def test_batch_that_the_graph_cannot_take_raises(tiny: TinyModel, batch: Sequence[Sequence[int]]) -> None:
    """If it fails, ids outside the vocabulary give an answer made of other memory."""
    engine = OnnxEngine(_graph(tiny), threads=1, pad_id=0)
    with pytest.raises(Exception, match=r"empty|out of data bounds"):
        engine.infer(batch)
    assert engine.infer([tiny.ids("film")]).shape == (1, 2)  # and the engine lives on


def test_close_releases_the_session(tiny: TinyModel) -> None:
    """If it fails, a closed engine keeps its memory and threads, or goes on answering."""
    engine = OnnxEngine(_graph(tiny), threads=1, pad_id=0)
    engine.close()
    with pytest.raises(AttributeError):
        engine.infer([[2, 3]])
