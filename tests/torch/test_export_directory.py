"""`export_directory`: every variant is made, proven, written; what does not pass is left out and named."""

from __future__ import annotations

import functools
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.engines.factory import load_classifier
from mlapi.errors import ConfigurationError, GateFailed, ModelError
from mlapi.models.directory import ModelDirectory
from mlapi.training.data import DataError
from mlapi.training.exporter import VARIANTS, export_directory
from mlapi.training.making import Making
from mlapi.training.scoring import Scores
from mlapi.training.trials import Texts, opened, prove
from tests.support.random_models import TEXTS, make_family
from tests.support.text_sets import text_set

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

    from mlapi.training.labelled import TextSet

pytestmark = pytest.mark.torch

CALIBRATION = text_set("calibration", TEXTS)
GOLDEN = TEXTS[:2]
CANDIDATES = tuple(f"{first} {second}" for first in TEXTS[:12] for second in TEXTS[2:16])
INT8 = ("onnx-int8", "openvino-int8")


def gate_of(margins: NDArray[np.float32], *, clear: bool) -> TextSet:
    """Return the texts that the model is surest of, or least sure of, labelled as it says."""
    order = np.argsort(-np.abs(margins) if clear else np.abs(margins))[:40].tolist()
    return text_set("gate", [CANDIDATES[row] for row in order], [int(margins[row] > 0) for row in order])


@pytest.fixture(scope="module")
def margins() -> NDArray[np.float32]:
    """How sure the model is of the second label, for each of the candidates."""
    import torch

    model, tokenizer = make_family("distilbert")
    with torch.inference_mode():
        rows = [model(torch.tensor([tokenizer.encode(text).ids])).logits[0] for text in CANDIDATES]
    logits = torch.stack(rows).numpy()
    difference: NDArray[np.float32] = logits[:, 1] - logits[:, 0]
    return difference


@functools.cache
def small() -> tuple[PreTrainedModel, Tokenizer]:
    """Return one and the same model: two that are made alike differ in the last digits of their scaling."""
    return make_family("distilbert")


def export(out: Path, gate: TextSet, **options: object) -> ModelDirectory:
    """Export a small DistilBERT and expect every variant to pass."""
    model, tokenizer = small()
    exported = export_directory(
        model,
        tokenizer,
        out,
        name="small",
        calibration=CALIBRATION,
        gate=gate,
        golden_texts=GOLDEN,
        **options,  # type: ignore[arg-type]
    )
    assert exported.refused == {}
    return ModelDirectory.open(out)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, margins: NDArray[np.float32]) -> ModelDirectory:
    """A directory with all five variants."""
    return export(tmp_path_factory.mktemp("models") / "small", gate_of(margins, clear=True))


def test_all_variants_are_written_and_serve(written: ModelDirectory) -> None:
    """If it fails, what export writes does not pass the checks of the service's start."""
    written.verify(written.manifest.files)
    written.verify_labels()
    assert tuple(written.manifest.variants) == VARIANTS
    for name in VARIANTS:
        load_classifier(written.path, variant=name, threads=1).close()


def test_int8_has_answers_and_a_gate_of_its_own(written: ModelDirectory) -> None:
    """If it fails, int8 is held to float32's answers at start, or nobody knows how it was judged."""
    for name in INT8:
        variant = written.manifest.variants[name]
        assert variant.precision == "int8"
        assert variant.golden_logits is not None
        assert len(variant.golden_logits) == len(GOLDEN)
        assert variant.gate is not None
        assert (variant.gate.texts, variant.gate.labelled) == (40, 40)
        assert variant.gate.agreement == 1
        assert any("fewer than 500" in note for note in variant.gate.not_gated)
        assert variant.measured["gate"].total == 40
    assert all(written.manifest.variants[name].gate is None for name in VARIANTS if name not in INT8)
    assert written.manifest.variants["onnx-int8"].files == written.manifest.variants["openvino-int8"].files


def test_the_same_arguments_give_the_same_bytes(
    written: ModelDirectory, margins: NDArray[np.float32], tmp_path: Path
) -> None:
    """If it fails, nobody can check that a shipped directory came from the model that it names."""
    again = export(tmp_path / "again", gate_of(margins, clear=True))
    assert again.manifest == written.manifest


def test_an_exported_directory_can_be_exported_again(
    written: ModelDirectory, margins: NDArray[np.float32], tmp_path: Path
) -> None:
    """If it fails, variants cannot be added to a directory that training wrote."""
    from mlapi.training.incoming import read_incoming

    incoming = read_incoming(written.path)
    assert (incoming.name, incoming.max_length) == ("small", written.manifest.max_length)
    exported = export_directory(
        incoming.model,
        incoming.tokenizer,
        tmp_path / "again",
        name=incoming.name,
        calibration=CALIBRATION,
        gate=gate_of(margins, clear=True),
        golden_texts=GOLDEN,
        variants=["onnx-fp32"],
        max_length=incoming.max_length,
    )
    assert exported.manifest.version == written.manifest.version


def test_half_precision_is_stored_and_is_what_is_served(
    written: ModelDirectory, margins: NDArray[np.float32], tmp_path: Path
) -> None:
    """If it fails, a small directory's variants answer as weights do that it does not hold."""
    half = export(
        tmp_path / "half", gate_of(margins, clear=True), weights="fp16", variants=["torch-fp32", *INT8]
    )
    assert tuple(half.manifest.variants) == ("torch-fp32", *INT8)
    assert sorted(file.name for file in (half.path / "onnx").iterdir()) == ["model.int8.onnx"]
    from safetensors.numpy import load_file

    whole, halved = (load_file(each.path / "model.safetensors") for each in (written, half))
    for name, weights in whole.items():
        np.testing.assert_array_equal(halved[name], weights.astype(np.float16))
    difference = np.subtract(half.manifest.golden[0].logits, written.manifest.golden[0].logits)
    assert 0 < np.abs(difference).max() < 0.05


def test_weights_beyond_half_precision_are_named(tmp_path: Path, margins: NDArray[np.float32]) -> None:
    """If it fails, a model is written whose weights are infinite."""
    import torch

    model, tokenizer = make_family("distilbert")
    with torch.no_grad():
        next(iter(model.parameters()))[0, 0] = 1e6
    with pytest.raises(ModelError, match="use --weights fp32"):
        export_directory(
            model, tokenizer, tmp_path / "m", name="m", gate=gate_of(margins, clear=True), weights="fp16"
        )
    assert list(tmp_path.iterdir()) == []


class Doubtful(Making):
    """An export whose float32 reference says the opposite of what the variants will say."""

    def _reference(self) -> Scores:
        scores = super()._reference()
        return Scores(
            variant=scores.variant,
            probabilities=scores.probabilities[:, ::-1].copy(),
            lengths=scores.lengths,
            max_length=scores.max_length,
            seconds=scores.seconds,
        )


class Lines:
    """Keeps what an export says."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.said: list[str] = []

    def step(self, what: str) -> None:
        self.steps.append(what)

    def say(self, line: str) -> None:
        self.said.append(line)


def test_int8_that_no_remedy_saves_is_refused_and_the_rest_written(
    tmp_path: Path, margins: NDArray[np.float32]
) -> None:
    """If it fails, a variant that answers wrongly ships, or takes the sound ones down with it."""
    model, tokenizer = make_family("distilbert")
    lines = Lines()
    made = Doubtful(
        tmp_path,
        name="m",
        max_length=512,
        texts=Texts(text_set("calibration", TEXTS[:6]), gate_of(margins, clear=True)),
        threads=1,
        watcher=lines,
    )
    made.base(model, tokenizer, weights=None, golden_texts=GOLDEN)
    made.float_variant("onnx-fp32")
    made.int8_variants(["openvino-int8"])
    manifest = made.finish(training=None, source=None)
    assert tuple(manifest.variants) == ("onnx-fp32",)
    assert "agrees on 0 of 40 labels" in made.refused["openvino-int8"]
    assert not (tmp_path / "onnx" / "model.int8.onnx").exists()
    assert "model.int8.onnx" not in str(manifest.files)
    assert any("without SmoothQuant" in line for line in lines.said)
    assert any("accuracy-aware control" in line for line in lines.said)


def test_the_gate_judges_by_the_reference(written: ModelDirectory, margins: NDArray[np.float32]) -> None:
    """If it fails, int8 is compared with itself and always passes."""
    texts = Texts(CALIBRATION, gate_of(margins, clear=True))
    with opened(written.path, written.manifest, "onnx-fp32", threads=1) as classifier:
        right = np.array(classifier.classify(classifier.encode(texts.gate.texts)), dtype=np.float32)
    lengths = np.full(len(right), 10)
    wrong = Scores("onnx-fp32", right[:, ::-1].copy(), lengths, 512, 1.0)
    with pytest.raises(GateFailed, match="agrees on 0 of 40"):
        prove(written.path, written.manifest, "onnx-int8", texts, threads=1, reference=wrong)


def test_calibration_and_gate_must_not_share_texts(tmp_path: Path) -> None:
    """If it fails, int8 is judged by the very texts that its scales were drawn from."""
    model, tokenizer = make_family("distilbert")
    with pytest.raises(DataError, match="shares 1 of its 2 texts"):
        export_directory(
            model,
            tokenizer,
            tmp_path / "m",
            name="m",
            calibration=CALIBRATION,
            gate=text_set("gate", [TEXTS[0].upper(), "something else"]),
        )


@pytest.mark.parametrize("names", [(), ("onnx-fp16",)])
def test_unknown_variants_are_named(tmp_path: Path, names: Sequence[str]) -> None:
    """If it fails, a misspelt variant is silently not written."""
    model, tokenizer = make_family("distilbert")
    with pytest.raises(ConfigurationError, match="--variants"):
        export_directory(model, tokenizer, tmp_path / "m", name="m", variants=names)


def test_a_directory_that_is_no_model_is_not_replaced(tmp_path: Path, margins: NDArray[np.float32]) -> None:
    """If it fails, a mistyped --out deletes someone's files."""
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="is not a model directory"):
        export(tmp_path, gate_of(margins, clear=True))
    assert (tmp_path / "diary.txt").exists()
    shutil.rmtree(tmp_path)
