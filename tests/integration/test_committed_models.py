"""The two models that the repository carries, as they lie there."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import mlapi
from mlapi.engines.factory import load_classifier
from mlapi.models.directory import ModelDirectory
from tests.support.sst2 import sst2_directory

MODELS = Path(mlapi.__file__).parents[1] / "models"

NAMES = ("starter", "lab")
MAX_BYTES = {"starter": 8_000_000, "lab": 1_500_000}
LEAST_ACCURACY = {"starter": 0.79, "lab": 0.81}
LIGHT_VARIANTS = {"starter": "onnx-fp32", "lab": "lab-fp32"}
"""The variant that runs without torch."""


@pytest.fixture(params=NAMES)
def directory(request: pytest.FixtureRequest) -> ModelDirectory:
    """Open each of the models."""
    return ModelDirectory.open(MODELS / str(request.param))


def _dev_set() -> tuple[list[str], list[int]]:
    with (sst2_directory() / "dev.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row["sentence"].strip() for row in rows], [int(row["label"]) for row in rows]


def test_every_file_is_the_one_in_the_manifest(directory: ModelDirectory) -> None:
    """If it fails, a file was changed, or mangled by a line-ending filter, after the manifest was written."""
    directory.verify(directory.manifest.files)
    directory.verify_labels()


def test_directory_holds_nothing_else(directory: ModelDirectory) -> None:
    """If it fails, the repository carries files that nothing reads and no digest covers."""
    present = {
        file.relative_to(directory.path).as_posix() for file in directory.path.rglob("*") if file.is_file()
    }
    assert present - {"manifest.json", "README.md"} == set(directory.manifest.files)


def test_size_stays_small(directory: ModelDirectory) -> None:
    """If it fails, every clone of the repository pays for a model that grew."""
    size = sum(file.stat().st_size for file in directory.path.rglob("*") if file.is_file())
    assert size <= MAX_BYTES[directory.path.name]


def test_manifest_says_what_model_it_is(directory: ModelDirectory) -> None:
    """If it fails, the health page, metrics and the comparison page call the model by a wrong name."""
    manifest = directory.manifest
    assert manifest.name == directory.path.name
    assert manifest.labels == ("NEGATIVE", "POSITIVE")
    assert manifest.training is not None
    assert LIGHT_VARIANTS[manifest.name] in manifest.variants


def test_every_variant_was_measured_well_enough(directory: ModelDirectory) -> None:
    """If it fails, a model is carried that nobody measured, or one that is worse than the recipe promises."""
    for name, variant in directory.manifest.variants.items():
        measured = variant.measured["dev"]
        assert measured.accuracy > LEAST_ACCURACY[directory.path.name], name
        assert measured.accuracy == pytest.approx(measured.correct / measured.total, abs=1e-6), name


@pytest.mark.parametrize("name", NAMES)
def test_model_runs_without_torch_and_gives_its_golden_logits(name: str) -> None:
    """If it fails, `make serve` does not start, or answers otherwise than the model that was measured."""
    classifier = load_classifier(MODELS / name, variant=LIGHT_VARIANTS[name], threads=1)
    golden = ModelDirectory.open(MODELS / name).manifest.golden
    encodings = classifier.encode([text.text for text in golden])
    expected = np.array([text.logits for text in golden])
    alone = np.concatenate([classifier.logits([encoding]) for encoding in encodings])
    np.testing.assert_allclose(alone, expected, atol=1e-4, rtol=0)
    np.testing.assert_allclose(classifier.logits(encodings), expected, atol=1e-4, rtol=0)
    assert [encoding.truncated for encoding in encodings] == [text.truncated for text in golden]
    classifier.close()


@pytest.mark.parametrize("name", NAMES)
def test_auto_takes_the_variant_without_torch(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, the default start needs torch, or falls back from a variant that is broken."""
    classifier = load_classifier(MODELS / name, threads=1)
    assert classifier.info.variant == LIGHT_VARIANTS[name]
    assert caplog.records == []
    classifier.close()


@pytest.mark.parametrize("name", NAMES)
def test_model_tells_plain_praise_from_plain_blame(name: str) -> None:
    """If it fails, the labels are swapped, or the model learnt nothing."""
    classifier = load_classifier(MODELS / name, threads=1)
    texts = ["a wonderful, moving and beautiful film", "a boring, stupid and terrible mess"]
    praise, blame = classifier.classify(classifier.encode(texts))
    assert praise[1] > 0.9
    assert blame[0] > 0.9
    classifier.close()


@pytest.mark.parametrize("name", NAMES)
def test_measured_accuracy_can_be_measured_again(name: str) -> None:
    """If it fails, the accuracy in the manifest and the model card is not this model's."""
    texts, labels = _dev_set()
    classifier = load_classifier(MODELS / name, variant=LIGHT_VARIANTS[name], threads=1)
    correct = sum(
        int(np.argmax(scores) == label)
        for start in range(0, len(texts), 32)
        for scores, label in zip(
            classifier.classify(classifier.encode(texts[start : start + 32])),
            labels[start : start + 32],
            strict=True,
        )
    )
    classifier.close()
    variant = ModelDirectory.open(MODELS / name).manifest.variants[LIGHT_VARIANTS[name]]
    measured = variant.measured["dev"]
    assert (correct, len(texts)) == (measured.correct, measured.total)
