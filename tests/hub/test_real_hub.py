"""The default model, pulled from the real hub: run on purpose, by `make test-hub`, where that can be reached.

Without the hub these tests fail. The client's own cache is used, so that only the first run downloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlapi.models.source import read_source
from tests.support.http_server import run_cli
from tests.support.sst2 import sst2_directory
from tests.support.sst2_model import best_labels, correct_on, token_ids

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.hub

MODEL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
COMMIT = "714eb0fa89d2f80546fda750413ed43d93601a13"
WEIGHTS_SHA256 = "7c3919835e442510166d267fe7cbe847e0c51cd26d9ba07b89a57b952b49b8aa"
DOWNLOAD_S = 3_600.0

COURSE = "I've been waiting for a HuggingFace course my whole life."
COURSE_IDS = [101, 1045, 1005, 2310, 2042, 3403, 2005, 1037, 17662, 12172, 2607, 2026, 2878, 2166, 1012, 102]
SCORES = {
    "We are very happy to show you the 🤗 Transformers library.": ("POSITIVE", 0.99978),
    "We hope you don't hate it.": ("NEGATIVE", 0.5309),
    COURSE: ("POSITIVE", 0.95980),
    "I hate this so much!": ("NEGATIVE", 0.99946),
}
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model at its commit."""
    out = tmp_path_factory.mktemp("hub") / "model"
    done = run_cli("model", "pull", f"{MODEL}@{COMMIT}", "--out", str(out), timeout=DOWNLOAD_S)
    assert done.returncode == 0, done.stderr
    return out


def test_the_files_are_those_of_the_commit(pulled: Path) -> None:
    """If it fails, a pull from the real hub gives another model, or does not say which."""
    source = read_source(pulled)
    assert source is not None
    assert (source.repository, source.revision) == (MODEL, COMMIT)
    assert source.files["model.safetensors"] == WEIGHTS_SHA256


def test_the_built_tokenizer_gives_the_known_ids(pulled: Path) -> None:
    """If it fails, the tokenizer that is built for the default model reads otherwise than its own."""
    assert token_ids(pulled, COURSE) == COURSE_IDS


@pytest.mark.torch
def test_the_scores_are_the_known_ones(pulled: Path) -> None:
    """If it fails, the default model does not answer as its authors say."""
    pytest.importorskip("torch")
    answers = best_labels(pulled, list(SCORES))
    for (label, score), (expected, known) in zip(answers, SCORES.values(), strict=True):
        assert label == expected
        assert score == pytest.approx(known, abs=TOLERANCE)


@pytest.mark.torch
def test_the_accuracy_is_the_known_one(pulled: Path) -> None:
    """If it fails, the default model is not as good as it is known to be."""
    pytest.importorskip("torch")
    assert correct_on(pulled, sst2_directory() / "dev.tsv") == (794, 872)
