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
    """The float32 graph, and of some the int8 graph, of a random model, and texts as its token ids."""

    def __init__(self, family: str, folder: Path) -> None:
        from mlapi.training.export import export_onnx

        model, tokenizer = make_family(family)
        model.save_pretrained(folder)
        self.family = family
        self.pad_id = int(model.config.pad_token_id)
        self.texts = [tokenizer.encode(text).ids for text in TEXTS]
        self.long = tokenizer.encode(LONG_TEXT).ids[:512]
        self.graphs = [folder / "model.onnx"]
        export_onnx(folder, self.graphs[0])
        if family in QUANTISED:
            self.graphs.append(folder / "model.int8.onnx")
            quantize(self.graphs[0], self.graphs[1], self.texts)


@pytest.fixture(scope="module")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """One of every supported architecture."""
    return Exported(request.param, tmp_path_factory.mktemp("model") / request.param)


@pytest.mark.parametrize("exported", FAMILIES, indirect=True)
def test_exported_graphs_answer_the_same_without_padding(exported: Exported) -> None:
    """If it fails, a supported architecture has lost its speed, or answers otherwise than it was gated."""
    for graph in exported.graphs:
        for threads in (1, 2):
            check_same_without_padding(exported, graph, threads=threads)


def check_same_without_padding(exported: Exported, graph: Path, *, threads: int) -> None:
    """Compare an engine's answers, in batches and alone, with those of the graph as it was exported."""
    engine = OpenVinoEngine(graph, threads=threads, pad_id=exported.pad_id)
    names = {node.any_name for node in engine._request.get_compiled_model().inputs}
    assert (TOKENS in names) == (exported.family not in PADDED)

    model = shared_core().read_model(graph)
    padded = Runner(model, threads=threads, pad_id=exported.pad_id)
    texts = exported.texts
    which = f"{graph.name}, {threads} threads"
    for batch in (texts, texts[3:6], [*texts[7:10], exported.long], [exported.long]):
        answers, expected = engine.infer(batch), padded.logits(batch)
        alone = np.concatenate([engine.infer([ids]) for ids in batch])
        np.testing.assert_array_equal(alone, answers, err_msg=which)
        if "int8" in graph.name:
            # Where a bias is added decides how a few numbers inside are rounded.
            np.testing.assert_allclose(answers, expected, atol=0.3, err_msg=which)
        else:
            np.testing.assert_array_equal(answers, expected, err_msg=which)
    assert len(np.unique(padded.logits(texts), axis=0)) > len(texts) / 2
