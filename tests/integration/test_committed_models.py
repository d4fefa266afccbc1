"""The two models that the repository carries, as they lie there."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import mlapi
from mlapi.engines.activation import activate
from mlapi.engines.factory import load_classifier
from mlapi.models.directory import ModelDirectory
from mlapi.types import Machine
from tests.support.sst2 import sst2_directory

MODELS = Path(mlapi.__file__).parents[1] / "models"

NAMES = ("starter", "lab")
MAX_BYTES = {"starter": 25_000_000, "lab": 1_500_000}
LEAST_ACCURACY = {"starter": 0.875, "lab": 0.81}
LIGHT_VARIANTS = {"starter": ("openvino-int8", "onnx-int8"), "lab": ("lab-fp32",)}
"""The variants that run without torch; `auto` takes the first on x86-64."""

LIGHT = [(name, variant) for name, variants in LIGHT_VARIANTS.items() for variant in variants]

EVERYDAY = {
    "POSITIVE": (
        "Not bad at all.",
        "It was never boring.",
        "I didn't hate it, I loved it.",
        "There is nothing wrong with this place.",
        "It isn't the disaster everyone said it would be; it's wonderful.",
        "You won't regret buying it.",
        "No complaints whatsoever.",
        "It's slow at first, but the ending is beautiful.",
        "Far from terrible.",
        "The acting isn't bad, and the music is even better.",
        "Not only is it cheap, it is also excellent.",
    ),
    "NEGATIVE": (
        "It's not good.",
        "I don't like it.",
        "I can't recommend this to anyone.",
        "Nothing about it is worth your time.",
        "The food was great, but the service ruined the evening.",
        "I expected to love it and was bitterly disappointed.",
        "Hardly the masterpiece they promised.",
        "Not worth the money.",
        "Neither funny nor clever.",
        "It looks beautiful, but it is empty and dull.",
        "Could have been so much better.",
        "I wasn't impressed.",
        "It fails to be funny even once.",
    ),
}
"""Negation and contrast that the starter reads right. Its card names everyday sentences that it does not."""


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
    assert set(LIGHT_VARIANTS[manifest.name]) <= set(manifest.variants)


def test_every_variant_was_measured_well_enough(directory: ModelDirectory) -> None:
    """If it fails, a model is carried that nobody measured, or one that is worse than the recipe promises."""
    for name, variant in directory.manifest.variants.items():
        measured = variant.measured["dev"]
        assert measured.accuracy > LEAST_ACCURACY[directory.path.name], name
        assert measured.accuracy == pytest.approx(measured.correct / measured.total, abs=1e-6), name


@pytest.mark.parametrize(("name", "variant"), LIGHT)
def test_model_runs_without_torch_and_gives_its_golden_answers(name: str, variant: str) -> None:
    """If it fails, `make serve` does not start, or answers otherwise than the model that was measured."""
    classifier = load_classifier(MODELS / name, variant=variant, threads=1)
    manifest = ModelDirectory.open(MODELS / name).manifest
    golden = manifest.golden
    own = manifest.variants[variant].golden_logits or tuple(text.logits for text in golden)
    expected = activate(np.array(own, dtype=np.float32), manifest.activation)
    encodings = classifier.encode([text.text for text in golden])
    alone = np.concatenate([classifier.classify([encoding]) for encoding in encodings])
    tolerance = manifest.variants[variant].golden_tolerance
    np.testing.assert_allclose(alone, expected, atol=tolerance, rtol=0)
    np.testing.assert_allclose(classifier.classify(encodings), alone, atol=1e-3, rtol=0)
    assert [encoding.truncated for encoding in encodings] == [text.truncated for text in golden]
    classifier.close()


@pytest.mark.parametrize("name", NAMES)
def test_auto_takes_the_first_variant_without_torch(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, the default start needs torch, is slow, or falls back from a variant that is broken."""
    machine = Machine(arch="x86-64", flags=frozenset({"avx2"}), cuda=False)
    classifier = load_classifier(MODELS / name, threads=1, machine=machine)
    assert classifier.info.variant == LIGHT_VARIANTS[name][0]
    assert caplog.records == []
    classifier.close()


def test_int8_of_the_starter_passed_its_gate_on_labelled_texts() -> None:
    """If it fails, the repository carries an int8 model that nobody held against its float32 original."""
    variants = ModelDirectory.open(MODELS / "starter").manifest.variants
    quantised = [variant for variant in variants.values() if variant.precision == "int8"]
    assert [variant.engine for variant in quantised] == ["onnx", "openvino"]
    for variant in quantised:
        assert variant.gate is not None
        assert variant.gate.not_gated == ()
        assert variant.gate.agreement >= 0.99
        loss = variants["torch-fp32"].measured["dev"].accuracy - variant.measured["dev"].accuracy
        assert loss <= 0.005


@pytest.mark.parametrize("label", EVERYDAY)
def test_starter_reads_negation_and_contrast(label: str) -> None:
    """If it fails, the first sentences that a newcomer tries come out wrong: nobody believes the model."""
    classifier = load_classifier(MODELS / "starter", variant="onnx-int8", threads=1)
    texts = EVERYDAY[label]
    answers = classifier.classify(classifier.encode(texts))
    wrong = [
        text
        for text, scores in zip(texts, answers, strict=True)
        if classifier.info.labels[int(np.argmax(scores))] != label
    ]
    classifier.close()
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_model_tells_plain_praise_from_plain_blame(name: str) -> None:
    """If it fails, the labels are swapped, or the model learnt nothing."""
    classifier = load_classifier(MODELS / name, threads=1)
    texts = ["a wonderful, moving and beautiful film", "a boring, stupid and terrible mess"]
    praise, blame = classifier.classify(classifier.encode(texts))
    assert praise[1] > 0.9
    assert blame[0] > 0.9
    classifier.close()


@pytest.mark.parametrize(("name", "variant"), LIGHT)
def test_measured_accuracy_can_be_measured_again(name: str, variant: str) -> None:
    """If it fails, the accuracy in the manifest and the model card is not this model's."""
    texts, labels = _dev_set()
    classifier = load_classifier(MODELS / name, variant=variant, threads=1)
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
    measured = ModelDirectory.open(MODELS / name).manifest.variants[variant].measured["dev"]
    assert (correct, len(texts)) == (measured.correct, measured.total)
