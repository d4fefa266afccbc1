from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, get_args

import onnx
import pytest

from mlapi.engines import factory
from mlapi.engines.factory import load_classifier
from mlapi.errors import (
    DigestMismatch,
    EngineError,
    GoldenMismatch,
    ManifestError,
    ModelError,
    VariantUnavailable,
)
from mlapi.models.manifest import Variant
from mlapi.types import Machine
from tests.support.model_directory import GOLDEN_TEXTS, TinyModel, edit_manifest, make_tiny_model, reseal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOUND, OFF = {"onnx-fp32": 0.0}, {"onnx-off": 0.5}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., TinyModel]:
    """Return a function that makes a model directory of the test's own."""
    return lambda **options: make_tiny_model(tmp_path / "model", **options)


def _change_file(tiny: TinyModel, name: str) -> None:
    file = tiny.path / name
    file.write_bytes(file.read_bytes() + b" ")


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_loaded_classifier_gives_the_models_answers(make: Callable[..., TinyModel]) -> None:
    """If it fails, tokenizer, engine and activation are put together wrongly."""
    tiny = make()
    classifier = load_classifier(tiny.path, threads=1)
    good, bad = classifier.classify(classifier.encode(["a great film", "a dull film"]))
    assert good[1] > 0.9
    assert bad[0] > 0.9
    classifier.close()


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_description_comes_from_the_manifest(make: Callable[..., TinyModel], activation: str) -> None:
    """If it fails, health page, metrics and cache keys name another model than the one that answers."""
    tiny = make(name="stars", labels=("one", "two", "three"), max_length=9, activation=activation)
    manifest = json.loads((tiny.path / "manifest.json").read_bytes())
    info = load_classifier(tiny.path, threads=1).info
    assert (info.name, info.labels, info.max_length) == ("stars", ("one", "two", "three"), 9)
    assert (info.engine, info.variant, info.activation) == ("onnx", "onnx-fp32", activation)
    assert info.version == manifest["version"]
    assert info.variant_id == manifest["variants"]["onnx-fp32"]["id"]


def test_maximum_length_reaches_the_tokenizer(make: Callable[..., TinyModel]) -> None:
    """If it fails, texts longer than the model reach it."""
    classifier = load_classifier(make(max_length=6).path, threads=1)
    (encoding,) = classifier.encode(["film " * 20])
    assert (encoding.length, encoding.truncated) == (6, True)


def test_named_variant_is_the_one_that_is_loaded(make: Callable[..., TinyModel]) -> None:
    """If it fails, MLAPI_VARIANT is ignored."""
    tiny = make(variants={"onnx-fp32": 0.0, "onnx-again": 0.0})
    assert load_classifier(tiny.path, variant="onnx-again", threads=1).info.variant == "onnx-again"


def test_unknown_variant_is_refused(make: Callable[..., TinyModel]) -> None:
    """If it fails, a mistyped variant silently serves another."""
    with pytest.raises(VariantUnavailable, match="no variant 'onnx-fp64'"):
        load_classifier(make().path, variant="onnx-fp64", threads=1)


def test_auto_goes_by_speed_not_by_the_manifests_order(
    make: Callable[..., TinyModel], caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, auto takes, or tries, a slow engine because it was written down first."""
    tiny = make()

    def put_torch_first(content: dict[str, Any]) -> None:
        torch = {**content["variants"]["onnx-fp32"], "engine": "torch", "files": ["model.safetensors"]}
        content["variants"] = {"torch-fp32": torch, **content["variants"]}

    edit_manifest(tiny.path, put_torch_first)
    reseal(tiny.path)
    assert load_classifier(tiny.path, threads=1).info.engine == "onnx"
    assert _warnings(caplog) == []


def test_every_engine_of_the_manifest_says_what_it_loads() -> None:
    """If it fails, a manifest can name an engine whose files nobody checks."""
    assert set(factory.LOADED) == set(get_args(Variant.model_fields["engine"].annotation))


BOTH = {"onnx-fp32": 0.0, "openvino-int8": 0.0}


@pytest.mark.parametrize(
    ("flags", "gated", "taken", "why"),
    [
        ({"avx2"}, True, "openvino-int8", "fastest of 2 on x86-64 with AVX2"),
        ({"avx2"}, False, "onnx-fp32", "fastest of 2 on x86-64 with AVX2 (openvino-int8: passed no gate)"),
        (set(), True, "onnx-fp32", "fastest of 2 on x86-64 with no instructions for int8"),
    ],
)
def test_auto_goes_by_machine_and_gate_and_says_so(
    make: Callable[..., TinyModel], flags: set[str], gated: bool, taken: str, why: str
) -> None:
    """If it fails, what /health says of the choice is not what decided it."""
    machine = Machine("x86-64", frozenset(flags))
    info = load_classifier(make(variants=BOTH, gated=gated).path, threads=1, machine=machine).info
    assert (info.variant, info.reason) == (taken, why)
    assert info.precision == taken.rpartition("-")[2]


def test_reason_names_what_was_tried_before(make: Callable[..., TinyModel]) -> None:
    """If it fails, a fast variant that does not work here is replaced and /health does not show it."""
    tiny = make(variants={"onnx-fp32": 0.0, "openvino-int8": 0.5})
    info = load_classifier(tiny.path, threads=1, machine=Machine("x86-64", frozenset({"avx2"}))).info
    assert info.reason == (
        "fastest of 2 that works on x86-64 with AVX2 (openvino-int8: gives other scores here than recorded)"
    )


def test_reason_shows_no_path_and_no_error_text(make: Callable[..., TinyModel]) -> None:
    """If it fails, /health tells strangers where files lie."""
    tiny = make(variants=BOTH)
    (tiny.path / "onnx" / "openvino-int8.onnx").write_bytes(b"no graph")
    reseal(tiny.path)
    info = load_classifier(tiny.path, threads=1, machine=Machine("x86-64", frozenset({"avx2"}))).info
    assert info.reason.endswith("(openvino-int8: cannot be loaded)")


def test_named_variant_is_said_to_be_asked_for(make: Callable[..., TinyModel]) -> None:
    """If it fails, /health explains a choice that nobody left to the service."""
    info = load_classifier(make(variants=BOTH).path, variant="openvino-int8", threads=1).info
    assert (info.engine, info.reason) == ("openvino", "asked for by name")


def test_variant_is_held_to_its_own_golden_logits(make: Callable[..., TinyModel]) -> None:
    """If it fails, a quantised variant cannot start, or is allowed to compute anything near the reference."""
    tiny = make(variants={"openvino-int8": 0.5, "onnx-int8": 0.0})
    own = [[first + 0.5, second] for first, second in (tiny.logits(text) for text in GOLDEN_TEXTS)]

    def record(content: dict[str, Any]) -> None:
        for variant in content["variants"].values():
            variant["golden_logits"] = own

    edit_manifest(tiny.path, record)
    assert load_classifier(tiny.path, variant="openvino-int8", threads=1).info.precision == "int8"
    with pytest.raises(GoldenMismatch, match="golden text 1 deviates"):
        load_classifier(tiny.path, variant="onnx-int8", threads=1)


def test_compiled_cache_reaches_the_engine(make: Callable[..., TinyModel], tmp_path: Path) -> None:
    """If it fails, MLAPI_COMPILED_CACHE has no effect."""
    tiny, cache = make(variants=BOTH), tmp_path / "compiled"
    load_classifier(tiny.path, variant="openvino-int8", threads=1, compiled_cache=cache).close()
    assert len(list(cache.iterdir())) == 1


def test_auto_falls_back_when_golden_texts_deviate_and_says_so(
    make: Callable[..., TinyModel], caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a variant that computes wrongly on this CPU is served, or replaced without a word."""
    tiny = make(variants=OFF | SOUND)
    assert load_classifier(tiny.path, threads=1).info.variant == "onnx-fp32"
    (warning,) = _warnings(caplog)
    assert warning.startswith(
        "variant onnx-off is not usable, trying the next: tiny (onnx-off): golden text 1"
    )


def test_auto_refuses_a_directory_with_a_changed_file(make: Callable[..., TinyModel]) -> None:
    """If it fails, a directory that somebody has changed is served by way of its other variant."""
    tiny = make(variants={"onnx-first": 0.0, "onnx-second": 0.0})
    _change_file(tiny, "onnx/onnx-first.onnx")
    with pytest.raises(DigestMismatch, match=r"onnx-first\.onnx has SHA-256"):
        load_classifier(tiny.path, threads=1)


def test_auto_falls_back_when_the_engine_fails_on_a_golden_text(
    make: Callable[..., TinyModel], caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, an engine that cannot run here stops a service that has a working variant."""
    tiny = make(variants={"onnx-narrow": 0.0, "onnx-fp32": 0.0})
    _cut_vocabulary(tiny.path / "onnx" / "onnx-narrow.onnx")
    reseal(tiny.path)
    assert load_classifier(tiny.path, threads=1).info.variant == "onnx-fp32"
    (warning,) = _warnings(caplog)
    assert "onnx-narrow is not usable" in warning
    assert "the onnx engine failed" in warning


def _cut_vocabulary(graph: Path) -> None:
    """Leave only one token vector, so that every text is out of bounds."""
    model = onnx.load(str(graph))
    embedding = next(tensor for tensor in model.graph.initializer if tensor.name == "embedding")
    values = onnx.numpy_helper.to_array(embedding)[:1]
    embedding.CopyFrom(onnx.numpy_helper.from_array(values, "embedding"))
    onnx.save(model, str(graph))


def test_auto_refuses_with_the_preferred_variants_error_when_all_fail(
    make: Callable[..., TinyModel], caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, wrong answers are served, or the error speaks of a variant that nobody wanted."""
    tiny = make(variants={"onnx-off": 0.5, "onnx-worse": 0.7})
    with pytest.raises(GoldenMismatch, match="onnx-off"):
        load_classifier(tiny.path, threads=1)
    assert len(_warnings(caplog)) == 2


def test_named_variant_does_not_fall_back(make: Callable[..., TinyModel]) -> None:
    """If it fails, an operator who asks for one variant gets another."""
    with pytest.raises(GoldenMismatch):
        load_classifier(make(variants=OFF | SOUND).path, variant="onnx-off", threads=1)


def test_engine_failure_on_a_golden_text_of_a_named_variant_is_raised(make: Callable[..., TinyModel]) -> None:
    """If it fails, a variant that cannot answer is served."""
    tiny = make()
    _cut_vocabulary(tiny.path / "onnx" / "onnx-fp32.onnx")
    reseal(tiny.path)
    with pytest.raises(EngineError):
        load_classifier(tiny.path, variant="onnx-fp32", threads=1)


@pytest.mark.parametrize("variant", ["auto", "onnx-fp32"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "onnx/onnx-fp32.onnx"])
def test_changed_file_refuses_to_start(make: Callable[..., TinyModel], name: str, variant: str) -> None:
    """If it fails, a file that is loaded is not checked, though no variant may list it."""
    tiny = make()
    _change_file(tiny, name)
    with pytest.raises(DigestMismatch, match=name):
        load_classifier(tiny.path, variant=variant, threads=1)


def test_files_of_other_variants_are_not_needed(make: Callable[..., TinyModel]) -> None:
    """If it fails, an image must carry the weights of engines that it does not run."""
    tiny = make(variants={"onnx-fp32": 0.0, "onnx-again": 0.0})
    (tiny.path / "model.safetensors").unlink()
    (tiny.path / "onnx" / "onnx-again.onnx").unlink()
    assert load_classifier(tiny.path, threads=1).info.variant == "onnx-fp32"


def test_labels_against_the_manifest_refuse_to_start(make: Callable[..., TinyModel]) -> None:
    """If it fails, every answer carries the wrong label."""
    tiny = make()
    config = json.loads((tiny.path / "config.json").read_bytes())
    config["id2label"] = {"0": "POSITIVE", "1": "NEGATIVE"}
    (tiny.path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    reseal(tiny.path)
    with pytest.raises(ManifestError, match="id2label"):
        load_classifier(tiny.path, threads=1)


def test_token_model_without_maximum_length_is_refused(make: Callable[..., TinyModel]) -> None:
    """If it fails, texts of any length reach a model with a fixed number of positions."""
    tiny = make()
    edit_manifest(tiny.path, lambda content: content.update(max_length=None))
    reseal(tiny.path)
    with pytest.raises(ModelError, match="needs max_length in its manifest"):
        load_classifier(tiny.path, threads=1)


@pytest.mark.parametrize(
    ("files", "count"), [(["tokenizer.json"], 0), (["onnx/onnx-fp32.onnx", "onnx/onnx-again.onnx"], 2)]
)
def test_onnx_variant_without_its_one_graph_is_refused(
    make: Callable[..., TinyModel], files: list[str], count: int
) -> None:
    """If it fails, a variant without a graph ends in a traceback, and one with two takes either."""
    tiny = make(variants={"onnx-fp32": 0.0, "onnx-again": 0.0})
    edit_manifest(tiny.path, lambda content: content["variants"]["onnx-fp32"].update(files=files))
    reseal(tiny.path)
    with pytest.raises(ModelError, match=rf"needs one \.onnx file, not {count}"):
        load_classifier(tiny.path, variant="onnx-fp32", threads=1)


@pytest.mark.parametrize("config", [{"pad_token_id": 7}, {"pad_token_id": None}, {}])
def test_padding_id_may_be_absent_from_the_config(
    make: Callable[..., TinyModel], config: dict[str, object]
) -> None:
    """If it fails, a config without a usable pad_token_id cannot be served."""
    tiny = make()
    labels = {"id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}
    (tiny.path / "config.json").write_text(json.dumps(labels | config), encoding="utf-8")
    reseal(tiny.path)
    classifier = load_classifier(tiny.path, threads=1)
    batch = classifier.encode(["film", "a great film and lovely music"])
    for row, text in zip(classifier.logits(batch), ("film", "a great film and lovely music"), strict=True):
        assert row.tolist() == pytest.approx(tiny.logits(text), abs=1e-5)


def test_fake_engine_answers_under_the_models_name(
    make: Callable[..., TinyModel], caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, the service cannot be run without weights, or does so without warning."""
    tiny = make(name="stars", labels=("one", "two", "three"), max_length=6)
    for file in ("model.safetensors", "tokenizer.json", "onnx/onnx-fp32.onnx"):
        (tiny.path / file).unlink()
    classifier = load_classifier(tiny.path, variant="fake", threads=1)
    assert (classifier.info.name, classifier.info.engine, classifier.info.variant) == (
        "stars",
        "fake",
        "fake",
    )
    (encoding,) = classifier.encode(["one word after another comes"])
    assert (encoding.length, encoding.truncated) == (6, True)
    (scores,) = classifier.classify([encoding])
    assert len(scores) == 3
    assert _warnings(caplog) == ["the fake engine answers: its scores mean nothing"]


def test_fake_variant_has_an_id_of_its_own(make: Callable[..., TinyModel]) -> None:
    """If it fails, fake scores are stored in the cache under a real variant's key."""
    path = make().path
    fake, real = (load_classifier(path, variant=name, threads=1).info for name in ("fake", "auto"))
    assert fake.variant_id != real.variant_id


def test_no_model_directory_is_refused(tmp_path: Path) -> None:
    """If it fails, a missing model is served by something else."""
    for variant in ("auto", "fake", "onnx-fp32"):
        with pytest.raises(ManifestError, match="name a model directory"):
            load_classifier(tmp_path / "nowhere", variant=variant, threads=1)
