"""What a model directory holds, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.models.manifest import MANIFEST_NAME, read_manifest

if TYPE_CHECKING:
    from pathlib import Path


def manifest_json(directory: Path) -> str:
    """Return the manifest as it is stored, having checked it.

    Raises:
        ManifestError: See `read_manifest`.
    """
    read_manifest(directory)
    return (directory / MANIFEST_NAME).read_text(encoding="utf-8").rstrip("\n")


def summary(directory: Path) -> str:
    """Return a page about the model: labels, variants with their accuracy, files, origin.

    Raises:
        ManifestError: See `read_manifest`.
    """
    manifest = read_manifest(directory)
    lines = [
        f"{manifest.name}: {manifest.architecture}",
        f"version     {manifest.version}",
        f"labels      {', '.join(manifest.labels)} ({manifest.activation})",
        f"max length  {manifest.max_length or 'no limit'}{' tokens' if manifest.max_length else ''}",
        "",
        "variants",
    ]
    for name, variant in manifest.variants.items():
        measured = ", ".join(
            f"{data} {result.accuracy:.2%} ({result.correct} of {result.total})"
            for data, result in variant.measured.items()
        )
        lines.append(f"  {name:<12} {variant.id}  {measured or 'accuracy not measured'}")
    lines += ["", "files"]
    lines += [f"  {name:<20} {entry.bytes:>12,} bytes" for name, entry in manifest.files.items()]
    if manifest.training:
        origin = manifest.training
        lines += ["", "training", f"  {origin.command}", f"  seed {origin.seed}"]
        lines += [f"  {name} SHA-256 {digest}" for name, digest in origin.data.items()]
        if origin.base_model:
            lines.append(f"  from {origin.base_model} at {origin.base_revision or 'no named revision'}")
    return "\n".join(lines)
