"""The lab model against scikit-learn, of which it is a copy in plain arrays."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mlapi.engines.activation import activate
from mlapi.engines.lab import LabEngine
from mlapi.errors import ModelError
from mlapi.models.directory import ModelDirectory
from mlapi.training.data import Splits, read_splits
from tests.support.labelled_texts import write_splits
from tests.support.sst2 import sst2_directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.torch

SEED = 0
UNUSUAL = (
    "",
    "   \t\n ",
    "zxqv wvut",
    "A café, très naïve: déjà vu!",
    "GOOD GOOD GOOD AND BAD",
    "İSTANBUL was great, straße was not, ΣΊΣΥΦΟΣ neither",
    "\u017ftrange \u212aind \u0130 letters",  # long s, Kelvin sign, dotted I: ASCII in some foldings
    "loved it 😍👍🏽 best!!! ever?",
    "don't can't won't isn't it's we've they'd",
    "n't 'tis '' ' n'tn't",
    "good\x00bad\u2028fine\ud800end",
    "東京 good 東京",
    "so good " * 3_000,
)


def agree(
    engine: LabEngine, fitted: tuple[TfidfVectorizer, LogisticRegression], texts: Sequence[str]
) -> None:
    """Check that both give the same label to each text, and scores within 1e-4."""
    vectorizer, regression = fitted
    expected = regression.predict_proba(vectorizer.transform(texts))
    actual = activate(engine.infer_texts(texts), "softmax")
    np.testing.assert_allclose(actual, expected, atol=1e-4, rtol=0)
    np.testing.assert_array_equal(actual.argmax(axis=1), expected.argmax(axis=1))


@pytest.fixture(scope="module")
def committed(pytestconfig: pytest.Config) -> ModelDirectory:
    """models/lab of the repository."""
    return ModelDirectory.open(pytestconfig.rootpath / "models" / "lab")


@pytest.fixture(scope="module")
def sst2() -> Splits:
    """The data that the committed model was trained on."""
    return read_splits(sst2_directory())


@pytest.fixture(scope="module")
def refitted(committed: ModelDirectory, sst2: Splits) -> tuple[TfidfVectorizer, LogisticRegression]:
    """scikit-learn's own pipeline, fitted as the committed model was."""
    import json

    from mlapi.training.lab import Choice, fit

    config = json.loads((committed.path / "config.json").read_bytes())
    training = committed.manifest.training
    assert training is not None
    assert training.data == sst2.digests, "another edition of SST-2 than the committed model's"
    return fit(sst2.train, Choice(features=config["features"], C=config["C"]), seed=training.seed)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_committed_model_agrees_with_scikit_learn_on_every_row(
    committed: ModelDirectory,
    sst2: Splits,
    refitted: tuple[TfidfVectorizer, LogisticRegression],
    split: str,
) -> None:
    """If this fails, the engine reads otherwise than scikit-learn, or the files are not of this recipe."""
    agree(LabEngine.load(committed.path), refitted, getattr(sst2, split).texts)


def test_the_committed_model_agrees_with_scikit_learn_on_unusual_texts(
    committed: ModelDirectory, refitted: tuple[TfidfVectorizer, LogisticRegression]
) -> None:
    """If this fails, capitals, accents, emoji or emptiness make the two read different words."""
    agree(LabEngine.load(committed.path), refitted, UNUSUAL)


def test_a_new_model_agrees_with_scikit_learn(tmp_path: Path) -> None:
    """If this fails, saving a fitted pipeline loses something, and where no SST-2 is, nobody notices."""
    from mlapi.training.lab import Choice, fit, save

    splits = read_splits(write_splits(tmp_path / "data"))
    choice = Choice(features=60, C=2.0)
    fitted = fit(splits.train, choice, seed=SEED)
    save(*fitted, choice, tmp_path)
    agree(LabEngine.load(tmp_path), fitted, [*splits.dev.texts, *splits.test.texts, *UNUSUAL])


def test_training_writes_a_model_directory_that_serves(tmp_path: Path) -> None:
    """If this fails, `mlapi train lab` gives something that the service refuses, or does not measure it."""
    from mlapi.training.lab import Choice, train_lab

    splits = read_splits(write_splits(tmp_path / "data"))
    said: list[str] = []
    grid = (Choice(features=1, C=1e-6), Choice(features=60, C=4.0))
    out = tmp_path / "lab"
    manifest = train_lab(splits, out, seed=SEED, command="mlapi train lab", grid=grid, say=said.append)
    directory = ModelDirectory.open(out)
    directory.verify(directory.manifest.files)
    directory.verify_labels()
    assert directory.manifest == manifest
    assert set(manifest.files) == {path.name for path in out.iterdir()} - {"manifest.json"}
    assert len(said) == len(grid)
    assert len((out / "vocabulary.txt").read_text(encoding="utf-8").splitlines()) == 60
    assert manifest.training is not None
    assert manifest.training.data == splits.digests
    assert manifest.variants["lab-fp32"].measured["dev"].accuracy >= 0.75


def test_the_same_seed_and_data_give_the_same_files(tmp_path: Path) -> None:
    """If this fails, nobody can check that a published model came from the recipe that it names."""
    from mlapi.training.lab import Choice, train_lab

    splits = read_splits(write_splits(tmp_path / "data"))
    first, second = (
        train_lab(
            splits,
            tmp_path / place / "lab",
            seed=SEED,
            command="c",
            grid=[Choice(features=60, C=4.0)],
            say=lambda _: None,
        )
        for place in ("one", "two")
    )
    assert first == second


def test_a_model_over_the_size_limit_is_not_kept(tmp_path: Path) -> None:
    """If this fails, the repository is given a file that it should not carry."""
    from mlapi.training.lab import Choice, train_lab

    splits = read_splits(write_splits(tmp_path / "data"))
    options: dict[str, Any] = {
        "seed": SEED,
        "command": "c",
        "grid": [Choice(features=60, C=4.0)],
        "size_limit": 100,
    }
    with pytest.raises(ModelError, match="keep fewer n-grams"):
        train_lab(splits, tmp_path / "lab", say=lambda _: None, **options)
    assert not (tmp_path / "lab").exists()


def test_the_test_split_does_not_choose(tmp_path: Path) -> None:
    """If this fails, the accuracy on test is that of a model that was chosen on it."""
    from mlapi.training.lab import Choice, train_lab

    splits = read_splits(write_splits(tmp_path / "data"))
    turned = dataclasses.replace(
        splits, test=dataclasses.replace(splits.test, labels=tuple(1 - label for label in splits.test.labels))
    )
    grid = (Choice(features=1, C=1e-6), Choice(features=60, C=4.0))
    versions = {
        train_lab(
            data, tmp_path / place / "lab", seed=SEED, command="c", grid=grid, say=lambda _: None
        ).version
        for place, data in (("one", splits), ("two", turned))
    }
    assert len(versions) == 1
