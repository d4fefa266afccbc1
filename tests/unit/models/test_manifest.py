from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from mlapi.errors import ManifestError
from mlapi.models.manifest import (
    FileEntry,
    file_entry,
    model_version,
    read_manifest,
    variant_id,
    write_manifest,
)
from tests.support.model_directory import edit_manifest, make_tiny_model, reseal

if TYPE_CHECKING:
    from collections.abc import Callable

BASE = {
    "labels": ("NEGATIVE", "POSITIVE"),
    "activation": "softmax",
    "max_length": 512,
    "base_digests": {"config.json": "a" * 64, "tokenizer.json": "b" * 64, "model.safetensors": "c" * 64},
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a sound model directory that the test may spoil."""
    return make_tiny_model(tmp_path / "model").path


def _refusal(directory: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(directory)
    return str(caught.value)


def _spoil(directory: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    edit_manifest(directory, edit)
    message = _refusal(directory)
    assert str(directory / "manifest.json") in message
    return message


def test_sound_manifest_is_read(directory: Path) -> None:
    """If it fails, no model can be loaded at all."""
    manifest = read_manifest(directory)
    assert manifest.name == "tiny"
    assert manifest.labels == ("NEGATIVE", "POSITIVE")
    assert manifest.version == manifest.computed_version()
    assert manifest.variants["onnx-fp32"].id == manifest.computed_variant_id("onnx-fp32")


def test_manifest_comes_back_as_it_was_written(directory: Path, tmp_path: Path) -> None:
    """If it fails, a tool that reads and writes a manifest changes it on the way."""
    manifest = read_manifest(directory)
    other = tmp_path / "other"
    other.mkdir()
    write_manifest(other, manifest)
    assert read_manifest(other) == manifest
    assert (other / "manifest.json").read_bytes() == (directory / "manifest.json").read_bytes()


def test_manifest_is_replaced_in_one_step(directory: Path) -> None:
    """If it fails, a reader can meet a manifest that is being written, or a left-over partial one."""
    manifest = read_manifest(directory)
    with (directory / "manifest.json").open("rb") as reader:
        write_manifest(directory, manifest.model_copy(update={"name": "renamed"}))
        assert json.loads(reader.read())["name"] == "tiny"  # the old file, whole, for who had it open
    assert read_manifest(directory).name == "renamed"
    assert not list(directory.glob(".*"))


def test_failed_write_leaves_the_manifest_alone(directory: Path) -> None:
    """If it fails, a full disk or an interruption costs the model its manifest."""
    before = (directory / "manifest.json").read_bytes()
    (directory / ".manifest.json.partial").mkdir()  # in the way of the partial file
    with pytest.raises(IsADirectoryError):
        write_manifest(directory, read_manifest(directory))
    assert (directory / "manifest.json").read_bytes() == before


def test_missing_directory_is_named_with_the_setting(tmp_path: Path) -> None:
    """If it fails, a mistyped MLAPI_MODEL gives an error that does not say where to look."""
    path = tmp_path / "nowhere"
    expected = f"there is no {path}; name a model directory (MLAPI_MODEL, --model or argument)"
    assert _refusal(path) == expected


def test_missing_relative_directory_is_named_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it fails, someone who stands in another directory is told that the model does not exist."""
    monkeypatch.chdir(tmp_path)
    assert _refusal(Path("models/starter")).startswith(f"there is no models/starter in {tmp_path};")


def test_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    """If it fails, pointing at a weights file instead of its directory ends in a traceback."""
    file = tmp_path / "model.onnx"
    file.touch()
    assert f"{file} is not a directory" in _refusal(file)


def test_directory_without_manifest_is_refused(tmp_path: Path) -> None:
    """If it fails, a bare download from a hub is not told apart from a model directory."""
    message = _refusal(tmp_path)
    assert str(tmp_path) in message
    assert "it has no manifest.json" in message


def test_unreadable_manifest_is_refused(tmp_path: Path) -> None:
    """If it fails, a manifest that cannot be opened ends in a traceback without the reason."""
    (tmp_path / "manifest.json").mkdir()
    message = _refusal(tmp_path)
    assert message == f"{tmp_path / 'manifest.json'} cannot be read: Is a directory"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"schema": 1', b"{" * 10_000]
)
def test_malformed_json_is_refused(directory: Path, content: bytes) -> None:
    """If it fails, a damaged manifest crashes the start instead of naming the file."""
    (directory / "manifest.json").write_bytes(content)
    assert str(directory / "manifest.json") in _refusal(directory)


@pytest.mark.parametrize(
    "field",
    [
        "schema",
        "name",
        "architecture",
        "version",
        "id2label",
        "activation",
        "files",
        "base_files",
        "variants",
        "golden",
    ],
)
def test_missing_field_is_named(directory: Path, field: str) -> None:
    """If it fails, the reader of the error has to guess which field the manifest lacks."""
    message = _spoil(directory, lambda content: content.pop(field))
    assert message == f"{directory / 'manifest.json'}: {field}: Field required"


def test_training_may_be_left_out_and_maximum_length_changes_the_version(directory: Path) -> None:
    """If it fails, a model of unknown origin is refused, or a lost max_length goes unnoticed."""
    edit_manifest(directory, lambda content: content.pop("training"))
    assert read_manifest(directory).training is None
    assert "version is" in _spoil(directory, lambda content: content.pop("max_length"))


@pytest.mark.parametrize(
    ("place", "edit"),
    [
        ("schema", lambda m: m.update(schema=2)),
        ("surprise", lambda m: m.update(surprise=1)),
        ("name", lambda m: m.update(name="no spaces")),
        ("name", lambda m: m.update(name="n" * 65)),
        ("name", lambda m: m.update(name="-")),
        ("version", lambda m: m.update(version="v1")),
        ("id2label", lambda m: m.update(id2label={"0": "ONLY"})),
        ("id2label", lambda m: m.update(id2label={"zero": "A", "one": "B"})),
        ("activation", lambda m: m.update(activation="relu")),
        ("max_length", lambda m: m.update(max_length=1)),
        ("max_length", lambda m: m.update(max_length="many")),
        ("files.config.json.sha256", lambda m: m["files"]["config.json"].update(sha256="abc")),
        ("files.config.json.sha256", lambda m: m["files"]["config.json"].update(sha256="A" * 64)),
        ("files.config.json.bytes", lambda m: m["files"]["config.json"].update(bytes=-1)),
        ("base_files", lambda m: m.update(base_files=[])),
        ("variants", lambda m: m.update(variants={})),
        ("variants.onnx-fp32.engine", lambda m: m["variants"]["onnx-fp32"].update(engine="abacus")),
        ("variants.onnx-fp32.precision", lambda m: m["variants"]["onnx-fp32"].update(precision="int3")),
        ("variants.onnx-fp32.files", lambda m: m["variants"]["onnx-fp32"].update(files=[])),
        ("variants.onnx-fp32.golden_tolerance", lambda m: _variant(m, golden_tolerance=0)),
        ("variants.onnx-fp32.golden_tolerance", lambda m: _variant(m, golden_tolerance=0.2)),
        ("variants.onnx-fp32.golden_tolerance", lambda m: _variant(m, golden_tolerance=float("nan"))),
        ("variants.onnx-fp32.measured.dev.accuracy", lambda m: _variant(m, measured=_measured(1.5))),
        ("golden", lambda m: m.update(golden=[])),
        ("golden.0.logits.0", lambda m: m["golden"][0].update(logits=[float("nan"), 0])),
        ("golden.0.logits.1", lambda m: m["golden"][0].update(logits=[0, float("inf")])),
        ("golden.0.text", lambda m: m["golden"][0].update(text=3)),
        ("training.data.train", lambda m: m.update(training=_training(data={"train": "x"}))),
        ("training.seed", lambda m: m.update(training=_training(seed="x"))),
    ],
)
def test_field_that_does_not_fit_is_named(
    directory: Path, place: str, edit: Callable[[dict[str, Any]], object]
) -> None:
    """If it fails, a wrong value is taken, or the error does not say which field holds it."""
    assert f"manifest.json: {place}" in _spoil(directory, edit)


def _variant(content: dict[str, Any], **changes: object) -> None:
    content["variants"]["onnx-fp32"].update(changes)


def _measured(accuracy: float) -> dict[str, object]:
    return {"dev": {"correct": 1, "total": 2, "accuracy": accuracy, "data_sha256": "a" * 64}}


def _training(**changes: object) -> dict[str, object]:
    return {"command": "train", "seed": 1, "data": {"train": "a" * 64}, **changes}


@pytest.mark.parametrize(
    ("reason", "edit"),
    [
        ("id2label must number its labels", lambda m: m.update(id2label={"1": "A", "2": "B"})),
        ("id2label must number its labels", lambda m: m.update(id2label={"0": "A", "2": "B"})),
        ("two labels the same name", lambda m: m.update(id2label={"0": "A", "1": "A"})),
        ("files has no digest for config.json", lambda m: m["files"].pop("config.json")),
        ("files has no digest for model.safetensors", lambda m: m["files"].pop("model.safetensors")),
        ("files has no digest for onnx/onnx-fp32.onnx", lambda m: m["files"].pop("onnx/onnx-fp32.onnx")),
        ("files has no digest for other.bin", lambda m: m["base_files"].append("other.bin")),
        ("one logit per label", lambda m: m["golden"][-1].update(logits=[0.0])),
        ("one logit per label", lambda m: m["golden"][0].update(logits=[0.0, 0.0, 0.0])),
    ],
)
def test_contradiction_is_explained(
    directory: Path, reason: str, edit: Callable[[dict[str, Any]], object]
) -> None:
    """If it fails, a manifest that contradicts itself is taken as it is."""
    assert reason in _spoil(directory, edit)


def test_config_needs_a_digest_even_outside_base_files(directory: Path) -> None:
    """If it fails, config.json, which is always read, can be changed without anyone noticing."""

    def drop(content: dict[str, Any]) -> None:
        del content["files"]["config.json"]
        content["base_files"].remove("config.json")

    assert "files has no digest for config.json" in _spoil(directory, drop)


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "onnx/../../secret",
        "onnx/..",
        "..",
        ".",
        "./config.json",
        "onnx//model.onnx",
        "onnx/",
        "",
        ".hidden",
        "onnx/.hidden",
        "config.json\n",
        "a\\..\\b",
        "C:/model.onnx",
        "a\x00b",
    ],
)
@pytest.mark.parametrize("field", ["files", "base_files", "variants"])
def test_file_name_that_leaves_the_directory_is_refused(directory: Path, name: str, field: str) -> None:
    """If it fails, a manifest from elsewhere can make the service read files outside its directory."""

    def edit(content: dict[str, Any]) -> None:
        if field == "files":
            content["files"][name] = content["files"]["config.json"]
        elif field == "base_files":
            content["base_files"][0] = name
        else:
            content["variants"]["onnx-fp32"]["files"] = [name]

    assert f"manifest.json: {field}" in _spoil(directory, edit)


@pytest.mark.parametrize("name", ["config.json", "onnx/model.onnx", "openvino/int8/model.xml", "a-b_c.1"])
def test_ordinary_file_names_are_taken(directory: Path, name: str) -> None:
    """If it fails, the guard against path traversal also refuses the files that models consist of."""
    edit_manifest(directory, lambda m: m["files"].update({name: m["files"]["config.json"]}))
    assert name in read_manifest(directory).files


def test_version_that_the_contents_do_not_give_is_refused(directory: Path) -> None:
    """If it fails, answers of two different models can share a version, and so a cache entry."""
    message = _spoil(directory, lambda m: m.update(version="0" * 16))
    assert "version is 0000000000000000 but its contents give" in message


def test_variant_id_that_the_files_do_not_give_is_refused(directory: Path) -> None:
    """If it fails, answers of two different variants can share a cache entry."""
    message = _spoil(directory, lambda m: m["variants"]["onnx-fp32"].update(id="0" * 16))
    assert "variants.onnx-fp32.id is 0000000000000000 but its files give" in message


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("NEGATIVE", "POSITIV")},
        {"labels": ("POSITIVE", "NEGATIVE")},
        {"activation": "sigmoid"},
        {"max_length": 511},
        {"max_length": None},
        {"base_digests": {**BASE["base_digests"], "config.json": "d" * 64}},  # type: ignore[dict-item]
        {"base_digests": {**BASE["base_digests"], "tokenizer.json": "d" * 64}},  # type: ignore[dict-item]
        {"base_digests": {**BASE["base_digests"], "model.safetensors": "d" * 64}},  # type: ignore[dict-item]
        {"base_digests": {"config.json": "a" * 64}},
    ],
)
def test_version_follows_what_defines_the_answers(change: dict[str, Any]) -> None:
    """If it fails, a model that answers differently keeps its version and is served from the old cache."""
    assert model_version(**{**BASE, **change}) != model_version(**BASE)  # type: ignore[arg-type]


def test_version_is_the_same_everywhere() -> None:
    """If it fails, every cache entry and every manifest in use is invalidated by a change to the code."""
    reordered = {**BASE, "base_digests": dict(reversed(BASE["base_digests"].items()))}  # type: ignore[attr-defined]
    assert model_version(**BASE) == model_version(**reordered) == "87f849890a42c602"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(name="renamed", architecture="Other"),
        lambda m: m["variants"]["onnx-fp32"].update(measured=_measured(0.5), golden_tolerance=0.01),
        lambda m: m["golden"].pop(),
        lambda m: m.update(training=_training()),
        lambda m: m["variants"].update(again=m["variants"]["onnx-fp32"]),
    ],
)
def test_version_ignores_what_does_not_define_the_answers(
    directory: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    """If it fails, measuring a model or adding a variant empties the cache of every deployment."""
    before = read_manifest(directory)
    edit_manifest(directory, edit)
    after = read_manifest(directory)
    assert after != before
    assert after.version == before.version
    assert after.variants["onnx-fp32"].id == before.variants["onnx-fp32"].id


def test_variant_id_follows_its_files_alone(directory: Path) -> None:
    """If it fails, an exported graph can change under the same cache key, or changes the model's version."""
    before = read_manifest(directory)
    graph = directory / "onnx" / "onnx-fp32.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    reseal(directory)
    after = read_manifest(directory)
    assert after.variants["onnx-fp32"].id != before.variants["onnx-fp32"].id
    assert after.version == before.version


def test_variant_id_tells_engines_and_file_names_apart() -> None:
    """If it fails, two engines with differing numerics share their cache entries."""
    digests = {"model.onnx": "a" * 64}
    ids = {
        variant_id(engine="onnx", digests=digests),
        variant_id(engine="torch", digests=digests),
        variant_id(engine="onnx", digests={"other.onnx": "a" * 64}),
        variant_id(engine="onnx", digests={"model.onnx": "b" * 64}),
    }
    assert len(ids) == 4


def test_file_entry_is_sha256_and_size(tmp_path: Path) -> None:
    """If it fails, digests in manifests cannot be checked with sha256sum."""
    file = tmp_path / "abc"
    file.write_bytes(b"abc")
    # The digest of "abc" is a published test vector of SHA-256 (FIPS 180-2, appendix B.1).
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_entry(file) == FileEntry(sha256=expected, bytes=3)


def test_manifest_cannot_be_changed_in_place(directory: Path) -> None:
    """If it fails, one part of the program can change the labels under another."""
    manifest = read_manifest(directory)
    with pytest.raises(ValidationError):
        manifest.name = "other"  # type: ignore[misc]
