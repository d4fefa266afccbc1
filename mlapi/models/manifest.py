"""`manifest.json`: what a model directory says about itself, and the digests that prove it.

The version is a SHA-256 over what defines the answers (labels, activation, maximum length, tokenizer, base
weights), so that two directories with one version agree up to the numerics of their engines. A variant's id
is a SHA-256 over its own files. Both are shortened to 16 hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlapi.errors import ManifestError
from mlapi.types import Activation, ModelVersion, VariantId

MANIFEST_NAME = "manifest.json"
CONFIG_NAME = "config.json"
SCHEMA = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
RelativePath = Annotated[str, Field(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$")]
"""A path that stays inside the directory: no part of it is empty or begins with a dot."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileEntry(_Part):
    """One file of the directory."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class Measurement(_Part):
    """Accuracy on one labelled data set, as counted by `mlapi train` or `mlapi model evaluate`."""

    correct: int = Field(ge=0)
    total: int = Field(gt=0)
    accuracy: float = Field(ge=0, le=1)
    data_sha256: Sha256


class Gate(_Part):
    """What a quantised variant was held against, in float32, before `mlapi model export` wrote it."""

    texts: int = Field(gt=0)
    labelled: int = Field(ge=0)
    data: dict[str, Sha256]
    calibration: dict[str, Sha256]
    agreement: float = Field(ge=0, le=1)
    accuracy_loss: float | None
    """In points; None where too few texts are labelled."""

    mean_difference: float = Field(ge=0)
    largest_difference: float = Field(ge=0)
    not_gated: tuple[str, ...] = ()
    """What could not be held against anything, and why."""

    remedy: str | None = None
    """What was done beyond plain quantisation to pass."""


class Variant(_Part):
    """One way to run the model: an engine, the files it loads, and what was measured with it."""

    engine: Literal["torch", "onnx", "openvino", "lab"]
    precision: Literal["fp32", "int8"]
    id: ShortDigest
    files: tuple[RelativePath, ...] = Field(min_length=1)
    golden_tolerance: float = Field(gt=0, le=0.1)
    golden_logits: tuple[tuple[float, ...], ...] | None = None
    """This variant's own logits for the golden texts; None where the reference's are to be met."""

    measured: dict[str, Measurement] = Field(default_factory=dict)
    gate: Gate | None = None


class Golden(_Part):
    """One text with the logits that the reference gives for it, by label id."""

    text: str
    logits: tuple[float, ...]
    truncated: bool = False


class Source(_Part):
    """The files on a model hub that the directory was made from."""

    repository: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    files: dict[RelativePath, Sha256]


class Training(_Part):
    """Where the weights came from."""

    command: str
    seed: int
    data: dict[str, Sha256]
    base_model: str | None = None
    base_revision: str | None = None


class Manifest(_Part):
    """The whole manifest. Field by field it is described in `docs/models.md`."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    architecture: str
    version: ShortDigest
    id2label: dict[int, str] = Field(min_length=2)
    activation: Activation
    max_length: int | None = Field(default=None, ge=2)
    files: dict[RelativePath, FileEntry]
    base_files: tuple[RelativePath, ...] = Field(min_length=1)
    variants: dict[str, Variant] = Field(min_length=1)
    golden: tuple[Golden, ...] = Field(min_length=1)
    training: Training | None = None
    source: Source | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sorted(self.id2label) != list(range(len(self.id2label))):
            raise ValueError("id2label must number its labels 0, 1, 2, …")
        if len(set(self.id2label.values())) != len(self.id2label):
            raise ValueError("id2label gives two labels the same name")
        named = {CONFIG_NAME, *self.base_files}.union(*(variant.files for variant in self.variants.values()))
        if missing := sorted(named - set(self.files)):
            raise ValueError(f"files has no digest for {', '.join(missing)}")
        if any(len(golden.logits) != len(self.id2label) for golden in self.golden):
            raise ValueError("every golden text needs one logit per label")
        shape = [len(self.id2label)] * len(self.golden)
        for name, variant in self.variants.items():
            if variant.golden_logits is not None and [len(row) for row in variant.golden_logits] != shape:
                raise ValueError(f"variants.{name}.golden_logits needs one logit per label and golden text")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names by label id."""
        return tuple(self.id2label[index] for index in range(len(self.id2label)))

    def computed_version(self) -> ModelVersion:
        """Return the version that this manifest's own contents give."""
        return model_version(
            labels=self.labels,
            activation=self.activation,
            max_length=self.max_length,
            base_digests={name: self.files[name].sha256 for name in self.base_files},
        )

    def computed_variant_id(self, name: str) -> VariantId:
        """Return the id that the named variant's files give."""
        variant = self.variants[name]
        return variant_id(
            engine=variant.engine, digests={file: self.files[file].sha256 for file in variant.files}
        )


def model_version(
    *,
    labels: Iterable[str],
    activation: Activation,
    max_length: int | None,
    base_digests: Mapping[str, str],
) -> ModelVersion:
    """Digest what defines a model's answers.

    Args:
        labels: Label names by label id.
        activation: `softmax` or `sigmoid`.
        max_length: Longest token sequence, or None.
        base_digests: SHA-256 of config, tokenizer and base weights, by file name.
    """
    defining = {
        "labels": list(labels),
        "activation": activation,
        "max_length": max_length,
        "files": dict(base_digests),
    }
    return ModelVersion(_short_digest(defining))


def variant_id(*, engine: str, digests: Mapping[str, str]) -> VariantId:
    """Digest one variant: its engine and its files' SHA-256 by name."""
    return VariantId(_short_digest({"engine": engine, "files": dict(digests)}))


def file_entry(path: Path) -> FileEntry:
    """Read a file once and return its digest and size."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return FileEntry(sha256=digest, bytes=path.stat().st_size)


def read_manifest(directory: Path) -> Manifest:
    """Read and check `manifest.json`.

    Raises:
        ManifestError: No such directory or manifest, malformed JSON, a field that does not fit, or a version
            or variant id that the manifest's own digests do not give.
    """
    path = directory / MANIFEST_NAME
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if directory.is_dir():
            what = f"{directory} is not a model directory: it has no {MANIFEST_NAME}"
        elif directory.exists():
            what = f"{directory} is not a directory"
        else:
            here = "" if directory.is_absolute() else f" in {Path.cwd()}"
            what = f"there is no {directory}{here}"
        raise ManifestError(f"{what}; name a model directory (MLAPI_MODEL, --model or argument)") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    try:
        manifest = Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ManifestError(f"{path}: {place}: {first['msg']}") from None
    if manifest.version != manifest.computed_version():
        raise ManifestError(
            f"{path}: version is {manifest.version} but its contents give {manifest.computed_version()}"
        )
    for name, variant in manifest.variants.items():
        if variant.id != manifest.computed_variant_id(name):
            raise ManifestError(
                f"{path}: variants.{name}.id is {variant.id} "
                f"but its files give {manifest.computed_variant_id(name)}"
            )
    return manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `manifest.json` in one rename, so that a half-written one never looks complete."""
    text = json.dumps(manifest.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False)
    partial = directory / f".{MANIFEST_NAME}.partial"
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(directory / MANIFEST_NAME)


def _short_digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
