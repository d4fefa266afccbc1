"""The questions that `tests/hub` asks of the hub's model, asked of the committed one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.models.directory import ModelDirectory
from tests.support.sst2 import sst2_directory
from tests.support.sst2_model import best_labels, correct_on, logits, token_ids

if TYPE_CHECKING:
    from mlapi.models.manifest import Manifest

pytestmark = pytest.mark.torch


@pytest.fixture
def starter(pytestconfig: pytest.Config) -> ModelDirectory:
    """The committed model."""
    return ModelDirectory.open(pytestconfig.rootpath / "models" / "starter")


def _length(manifest: Manifest) -> int:
    assert manifest.max_length is not None
    return manifest.max_length


def test_scores_and_ids_are_those_that_the_manifest_records(starter: ModelDirectory) -> None:
    """If it fails, the check of the hub's scores compares something else than the model's answers."""
    golden = starter.manifest.golden
    length = _length(starter.manifest)
    texts = [example.text for example in golden]
    recorded = np.array([example.logits for example in golden])
    np.testing.assert_allclose(logits(starter.path, texts, max_length=length), recorded, atol=1e-4)
    short = texts[:3]
    for (label, share), row in zip(best_labels(starter.path, short), recorded, strict=False):
        assert label == starter.manifest.labels[int(row.argmax())]
        assert share == pytest.approx(float(1 / np.exp(row - row.max()).sum()), abs=1e-4)
    ids = token_ids(starter.path, "I've been waiting", max_length=length)
    vocabulary = json.loads((starter.path / "tokenizer.json").read_bytes())["model"]["vocab"]
    assert (ids[0], ids[-1]) == (vocabulary["[CLS]"], vocabulary["[SEP]"])


def test_accuracy_is_that_which_the_manifest_records(starter: ModelDirectory) -> None:
    """If it fails, the check of the hub's accuracy counts wrongly."""
    recorded = starter.manifest.variants["torch-fp32"].measured["dev"]
    dev = sst2_directory() / "dev.tsv"
    counted = correct_on(starter.path, dev, max_length=_length(starter.manifest))
    assert counted == (recorded.correct, recorded.total)
