"""Exported graphs of every architecture: which lose their padding, and that they answer the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.engines.openvino import OpenVinoEngine, shared_core
from mlapi.engines.unpadding import TOKENS
from mlapi.training.quantize import quantize
from tests.support.random_models import FAMILIES, LONG_TEXT, TEXTS, make_family
from tests.support.unpadded import Runner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.torch

PADDED = {"deberta-v2"}
"""Architectures whose graphs stay as they are: here attention knows the distance of any two places."""

QUANTISED = ("distilbert", "bert", "roberta")
"""Those tried in int8, too: quantising takes longer than all the rest."""


class Exported:
    """The float32 graph, and on demand the int8 graph, of a random model, and texts as its token ids."""

    def __init__(self, family: str, folder: Path) -> None:
        from mlapi.training.export import export_onnx

        model, tokenizer = make_family(family)
        model.save_pretrained(folder)
        self.family = family
        self.pad_id = int(model.config.pad_token_id)
        self.texts = [tokenizer.encode(text).ids for text in TEXTS]
        self.long = tokenizer.encode(LONG_TEXT).ids[:512]
        self._folder = folder
        export_onnx(folder, self.graph("fp32"))
        if family in QUANTISED:
            quantize(self.graph("fp32"), self.graph("int8"), self.texts)

    def graph(self, precision: str) -> Path:
        return self._folder / f"model.{precision}.onnx"


@pytest.fixture(scope="module")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """One of every supported architecture."""
    return Exported(request.param, tmp_path_factory.mktemp("model") / request.param)


@pytest.mark.parametrize(
    ("exported", "precision"),
    [*((family, "fp32") for family in FAMILIES), *((family, "int8") for family in QUANTISED)],
    indirect=["exported"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_exported_graph_answers_the_same_bits_without_padding(
    exported: Exported, precision: str, threads: int
) -> None:
    """If it fails, a supported architecture has lost its speed, or answers otherwise than it was gated."""
    graph = exported.graph(precision)
    engine = OpenVinoEngine(graph, threads=threads, pad_id=exported.pad_id)
    names = {node.any_name for node in engine._request.get_compiled_model().inputs}
    assert (TOKENS in names) == (exported.family not in PADDED)

    model = shared_core().read_model(graph)
    padded = Runner(model, threads=threads, pad_id=exported.pad_id)
    texts = exported.texts
    for batch in (texts, texts[3:6], [*texts[7:10], exported.long], [exported.long]):
        expected = padded.logits(batch)
        np.testing.assert_array_equal(engine.infer(batch), expected)
        np.testing.assert_array_equal(np.concatenate([engine.infer([ids]) for ids in batch]), expected)
    assert len(np.unique(padded.logits(texts), axis=0)) > len(texts) / 2
