"""int8 graphs of small random models: valid, near float32, the same on both engines and in any batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mlapi
from mlapi.engines.onnx import OnnxEngine
from mlapi.engines.openvino import OpenVinoEngine
from mlapi.training.graph import products_without_weights
from mlapi.training.quantize import Quantizer, quantize
from mlapi.training.remedies import attempts
from mlapi.training.sensitivity import deviation, probabilities, rank_layers
from tests.support.random_models import TEXTS, make_family

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    from numpy.typing import NDArray

pytestmark = pytest.mark.torch

HALF_RANGE = 64
NEAR = 0.97
"""Correlation of two graphs' logits over texts. Not their difference: the spread of random models is made."""

SENTENCES = (*TEXTS, *(" ".join(pair) for pair in zip(TEXTS, TEXTS[3:], strict=False)))


class Subject:
    """One model as float32 and int8 graphs, with the token ids that it was calibrated on."""

    def __init__(self, family: str, folder: Path) -> None:
        from mlapi.training.export import export_onnx

        model, tokenizer = make_family(family)
        model.save_pretrained(folder)
        self.pad_id = int(model.config.pad_token_id)
        self.ids = [tokenizer.encode(text).ids for text in SENTENCES]
        self.float, self.int8 = folder / "model.onnx", folder / "model.int8.onnx"
        export_onnx(folder, self.float)
        self.left = quantize(self.float, self.int8, self.ids)

    def engines(self, path: Path) -> tuple[OnnxEngine, OpenVinoEngine]:
        """Load a graph in both engines."""
        return (
            OnnxEngine(path, threads=1, pad_id=self.pad_id),
            OpenVinoEngine(path, threads=1, pad_id=self.pad_id),
        )


@pytest.fixture(scope="module", params=["distilbert", "bert", "roberta"])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A model of each of the most common architectures."""
    return Subject(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def distilbert(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A DistilBERT, for what does not depend on the architecture."""
    return Subject("distilbert", tmp_path_factory.mktemp("one"))


def test_the_graph_is_plain_and_small(subject: Subject) -> None:
    """If it fails, an int8 file is no valid ONNX, carries float tables, or saturates CPUs without VNNI."""
    import onnx
    from onnx import numpy_helper

    proto = onnx.load(subject.int8)
    onnx.checker.check_model(proto, full_check=True)
    assert subject.left == ()
    assert subject.int8.stat().st_size < 0.6 * subject.float.stat().st_size
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    weights = [
        numpy_helper.to_array(stored[node.input[0]])
        for node in proto.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored
    ]
    assert len([weight for weight in weights if weight.ndim > 1]) > 10
    assert max(np.abs(weight.astype(int)).max() for weight in weights) <= HALF_RANGE
    tables = [node for node in proto.graph.node if node.op_type == "Gather" and node.input[0] in stored]
    assert {stored[node.input[0]].data_type for node in tables if len(stored[node.input[0]].dims) > 1} == {
        onnx.TensorProto.INT8
    }


def test_attention_stays_in_float32(subject: Subject) -> None:
    """If it fails, queries and keys are rounded to eight bits, which costs accuracy and time."""
    import onnx

    attention = products_without_weights(onnx.load(subject.float))
    proto = onnx.load(subject.int8)
    makers = {output: node for node in proto.graph.node for output in node.output}
    stored = {tensor.name for tensor in proto.graph.initializer}
    assert len(attention) == 2 * sum(node.op_type == "Softmax" for node in proto.graph.node) > 2
    seen = set()
    waiting = [name for node in proto.graph.node if node.name in attention for name in node.input]
    while waiting:
        maker = makers[waiting.pop()]
        seen.add(maker.op_type)
        if maker.op_type in {"Reshape", "Transpose", "Mul", "Div"}:
            waiting += [name for name in maker.input[:2] if name in makers and name not in stored]
    assert "Add" in seen  # what comes out of the linear maps for queries, keys and values, as it is
    assert not seen & {"QuantizeLinear", "DequantizeLinear"}


def test_both_engines_are_near_float32_and_each_other(subject: Subject) -> None:
    """If it fails, one of the engines reads the int8 graph otherwise than it was meant."""
    by_float = alone(subject.engines(subject.float)[0], subject.ids)
    by_onnx, by_openvino = (alone(engine, subject.ids) for engine in subject.engines(subject.int8))
    for label in range(by_float.shape[1]):
        assert np.corrcoef(by_onnx[:, label], by_float[:, label])[0, 1] > NEAR
        assert np.corrcoef(by_openvino[:, label], by_onnx[:, label])[0, 1] > NEAR


def test_the_same_input_gives_the_same_bytes(distilbert: Subject, tmp_path: Path) -> None:
    """If it fails, nobody can check that a shipped int8 graph came from the weights beside it."""
    quantize(distilbert.float, tmp_path / "again.onnx", distilbert.ids)
    assert (tmp_path / "again.onnx").read_bytes() == distilbert.int8.read_bytes()


def test_the_layer_that_rounds_worst_is_found(distilbert: Subject) -> None:
    """If it fails, the remedies leave layers in float32 that did no harm."""
    import onnx
    from onnx import numpy_helper

    quantizer = Quantizer(distilbert.float, distilbert.ids)
    reference = probabilities(quantizer.original, quantizer.feeds)
    proto = onnx.load(distilbert.int8)
    victim = next(node for node in proto.graph.node if node.name.startswith("node_MatMul"))
    makers = {node.output[0]: node for node in proto.graph.node}
    scale = makers[victim.input[0]].input[1]
    for tensor in proto.graph.initializer:
        if tensor.name == scale:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 60, scale))
    before = proto.SerializeToString()
    ranked = rank_layers(proto, quantizer.feeds, reference)
    readers = [node.name for node in proto.graph.node if victim.input[0] in node.input]
    assert ranked[0] in readers
    assert proto.SerializeToString() == before


class Recorded:
    """A quantiser that gives one graph for everything, and keeps how it was asked."""

    def __init__(self, quantizer: Quantizer, proto: onnx.ModelProto) -> None:
        self.original, self.feeds = quantizer.original, quantizer.feeds
        self.asked: list[dict[str, Any]] = []
        self._proto = proto

    def quantized(self, *, smooth: bool = True, keep: Sequence[str] = ()) -> onnx.ModelProto:
        self.asked.append({"smooth": smooth, "keep": tuple(keep)})
        return self._proto

    def controlled(self, *_: Any, largest_drop: float) -> onnx.ModelProto:
        self.asked.append({"largest_drop": largest_drop})
        return self._proto


def test_remedies_come_one_after_the_other(distilbert: Subject) -> None:
    """If it fails, a model that plain quantisation spoils is refused although it could have been saved."""
    import onnx

    fake = Recorded(Quantizer(distilbert.float, distilbert.ids), onnx.load(distilbert.int8))
    names = [name for name, _ in attempts(fake)]  # type: ignore[arg-type]
    assert names[:2] == [None, "without SmoothQuant"]
    assert names[2] is not None
    assert " layers in float32: node_" in names[2]
    assert names[-1] == "accuracy-aware control"
    assert fake.asked[1] == {"smooth": False, "keep": ()}
    kept = [len(asked["keep"]) for asked in fake.asked[2:-1]]
    assert kept == sorted(set(kept))
    assert kept[0] >= 1


def test_each_remedy_gives_a_graph_that_runs(distilbert: Subject) -> None:
    """If it fails, a remedy ends the export with an error of the quantiser, or makes the answers worse."""
    quantizer = Quantizer(distilbert.float, distilbert.ids[:12])
    reference = probabilities(quantizer.original, quantizer.feeds)
    for _, proto in attempts(quantizer):
        assert deviation(probabilities(proto, quantizer.feeds), reference) < 0.1


def test_quantising_leaves_nothing_in_the_home_folder(distilbert: Subject, tmp_path: Path) -> None:
    """If it fails, one of the libraries counts its uses, to tell its maker when it can."""
    home, script = tmp_path / "home", tmp_path / "run.py"
    home.mkdir()
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from mlapi.training.quantize import quantize\n"
        "quantize(Path(sys.argv[1]), Path(sys.argv[2]), [[2, 9, 8, 3], [2, 7, 3]])\n"
        "assert sys.modules['openvino_telemetry'] is None\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, str(script), str(distilbert.float), str(tmp_path / "out.onnx")],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(mlapi.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.rglob("*")) == []


def alone(engine: OnnxEngine | OpenVinoEngine, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Run texts one by one, and close the engine."""
    rows = [engine.infer([text]) for text in ids]
    engine.close()
    return np.concatenate(rows)
