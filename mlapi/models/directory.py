"""Opening a model directory: from a path to a manifest whose files are proven to be the right ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlapi.errors import DigestMismatch, ManifestError, VariantUnavailable
from mlapi.models.manifest import (
    CONFIG_NAME,
    MANIFEST_NAME,
    Manifest,
    Variant,
    file_entry,
    read_manifest,
)


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A model directory and its manifest.

    Attributes:
        path: Where it lies.
        manifest: What it says of itself.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> ModelDirectory:
        """Read the manifest; no model file is read yet.

        Raises:
            ManifestError: See `read_manifest`.
        """
        return cls(path=path, manifest=read_manifest(path))

    def variant(self, name: str) -> Variant:
        """Return the named variant.

        Raises:
            VariantUnavailable: The directory has no such variant.
        """
        try:
            return self.manifest.variants[name]
        except KeyError:
            known = ", ".join(sorted(self.manifest.variants))
            raise VariantUnavailable(
                f"{self.path} has no variant {name!r}; it has: {known} (or auto)"
            ) from None

    def verify(self, names: Iterable[str]) -> None:
        """Compare files with their recorded digests.

        Args:
            names: Relative file names.

        Raises:
            ManifestError: The manifest lists no such file, so that nothing proves its contents.
            DigestMismatch: A file is missing or has other contents; the message names it.
        """
        for name in dict.fromkeys(names):
            expected = self.manifest.files.get(name)
            if expected is None:
                raise ManifestError(f"{self.path / MANIFEST_NAME} has no digest for {name}")
            try:
                actual = file_entry(self.path / name)
            except OSError as error:
                raise DigestMismatch(f"{self.path / name} cannot be read: {error.strerror}") from None
            if actual != expected:
                raise DigestMismatch(
                    f"{self.path / name} has SHA-256 {actual.sha256[:12]}… ({actual.bytes} bytes), the "
                    f"manifest says {expected.sha256[:12]}… ({expected.bytes} bytes); restore the file or "
                    "make the directory anew"
                )

    def verify_labels(self) -> None:
        """Check that config.json, the model's own word on its labels, says what the manifest says.

        Raises:
            ManifestError: config.json cannot be read, or its `id2label` differs.
        """
        path = self.path / CONFIG_NAME
        try:
            config = json.loads(path.read_bytes())
            id2label = {int(index): label for index, label in config["id2label"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise ManifestError(f"{path} cannot be read or has no usable id2label") from None
        if id2label != self.manifest.id2label:
            raise ManifestError(
                f"{path} says id2label is {id2label}, the manifest says {self.manifest.id2label}"
            )
