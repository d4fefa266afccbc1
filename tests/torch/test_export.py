"""The ONNX export of transformers classifiers, on small random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.engines.factory import load_classifier
from mlapi.engines.onnx import OnnxEngine
from mlapi.errors import ModelError
from mlapi.models.directory import ModelDirectory
from tests.support.random_models import make_family

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel

pytestmark = pytest.mark.torch

LABELS = ("LABEL_0", "LABEL_1", "LABEL_2")
TEXTS = ("a lovely song", "", "the ending is dull . " * 40)


@pytest.fixture(scope="module", params=["distilbert", "bert", "roberta"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PreTrainedModel, ModelDirectory]:
    """A model of each family, and the directory that was written of it."""
    from mlapi.training.directory import write_transformers_directory

    out = tmp_path_factory.mktemp("models") / "small"
    model, tokenizer = make_family(request.param, labels=LABELS)
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=9)
    write_transformers_directory(model, tokenizer, out, name="small", golden_texts=TEXTS)
    return model.train(mode=False), ModelDirectory.open(out)


def test_every_shape_gives_torchs_logits(written: tuple[PreTrainedModel, ModelDirectory]) -> None:
    """If this fails, the graph is fixed to the sizes it was exported with, or ignores the mask."""
    import torch

    model, directory = written
    longest = directory.manifest.max_length
    assert longest is not None
    engine = OnnxEngine(directory.path / "onnx" / "model.onnx", threads=1, pad_id=model.config.pad_token_id)
    generator = np.random.default_rng(1)
    for lengths in ([2], [1], [longest], [2, longest], [3, 7, 5], [4] * 33):
        batch = [generator.integers(5, 300, length).tolist() for length in lengths]
        logits = engine.infer(batch)
        assert logits.dtype == np.float32
        for ids, row in zip(batch, logits, strict=True):
            with torch.inference_mode():
                expected = model(input_ids=torch.tensor([ids])).logits[0].numpy()
            np.testing.assert_allclose(row, expected, atol=1e-4, rtol=0)
    engine.close()


def test_the_graph_is_one_plain_file(written: tuple[PreTrainedModel, ModelDirectory]) -> None:
    """If this fails, the graph needs a second file or custom operators, or carries its maker's paths."""
    import onnx

    _, directory = written
    path = directory.path / "onnx" / "model.onnx"
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    assert [output.name for output in proto.graph.output] == ["logits"]
    inputs = [entry.name for entry in proto.graph.input]
    assert inputs[:2] == ["input_ids", "attention_mask"]
    assert ("token_type_ids" in inputs) == (directory.manifest.architecture.startswith("Bert"))
    for entry in proto.graph.input:
        assert [bool(size.dim_param) for size in entry.type.tensor_type.shape.dim] == [True, True]
    assert b"site-packages" not in path.read_bytes()


def test_the_directory_serves_in_both_variants(written: tuple[PreTrainedModel, ModelDirectory]) -> None:
    """If this fails, what was written does not pass the checks of the service's start."""
    _, directory = written
    directory.verify(directory.manifest.files)
    assert directory.manifest.max_length == 512
    assert [golden.truncated for golden in directory.manifest.golden][:2] == [False, False]
    for name in ("torch-fp32", "onnx-fp32"):
        classifier = load_classifier(directory.path, variant=name, threads=1)
        assert classifier.info.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
        classifier.close()


def test_the_tokenizer_is_saved_without_padding_and_truncation(
    written: tuple[PreTrainedModel, ModelDirectory],
) -> None:
    """If this fails, settings of whoever trained leak into serving."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(written[1].path / "tokenizer.json"))
    assert tokenizer.padding is None
    assert tokenizer.truncation is None


def test_several_labels_at_once_are_served_with_sigmoid(tmp_path: Path) -> None:
    """If this fails, a multi-label model's scores are squeezed into a sum of one."""
    from mlapi.training.directory import write_transformers_directory

    model, tokenizer = make_family("distilbert", problem_type="multi_label_classification")
    manifest = write_transformers_directory(
        model, tokenizer, tmp_path / "m", name="m", golden_texts=TEXTS[:1]
    )
    assert manifest.activation == "sigmoid"


def test_an_unfaithful_graph_is_an_error(tmp_path: Path) -> None:
    """If this fails, a graph that deviates from torch is shipped."""
    from mlapi.training.export import export_onnx

    make_family("distilbert")[0].save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="deviates from torch"):
        export_onnx(tmp_path, tmp_path / "model.onnx", tolerance=-1.0)
    assert not (tmp_path / "model.onnx").exists()


def test_a_directory_without_a_model_is_named(tmp_path: Path) -> None:
    """If this fails, exporting the wrong folder ends in a traceback of transformers."""
    from mlapi.training.export import export_onnx

    with pytest.raises(ModelError, match="cannot be loaded by transformers"):
        export_onnx(tmp_path, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("family", "positions", "longest"),
    [("bert", 512, 512), ("bert", 100, 96), ("bert", 9, 9), ("roberta", 514, 512), ("bert", 2048, 512)],
)
def test_the_maximum_length_leaves_room_for_padding(family: str, positions: int, longest: int) -> None:
    """If it fails, OpenVINO's padding to multiples of 16 leaves the position embeddings."""
    from mlapi.training.export import longest_sequence

    model, _ = make_family(family)
    model.config.max_position_embeddings = positions
    assert longest_sequence(model) == longest
