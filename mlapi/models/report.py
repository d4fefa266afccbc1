"""What a model directory holds, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.models.manifest import MANIFEST_NAME, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from mlapi.models.manifest import Variant


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
        lines.append(f"  {name:<14} {variant.id}  {variant.precision}  {measured or 'accuracy not measured'}")
        lines += [f"      {line}" for line in _gate(variant)]
    lines += ["", "files"]
    lines += [f"  {name:<20} {entry.bytes:>12,} bytes" for name, entry in manifest.files.items()]
    if manifest.source:
        lines += ["", "source", f"  {manifest.source.repository} at {manifest.source.revision}"]
        lines += [f"  {name} SHA-256 {digest}" for name, digest in manifest.source.files.items()]
    if manifest.training:
        origin = manifest.training
        lines += ["", "training", f"  {origin.command}", f"  seed {origin.seed}"]
        lines += [f"  {name} SHA-256 {digest}" for name, digest in origin.data.items()]
        if origin.base_model:
            lines.append(f"  from {origin.base_model} at {origin.base_revision or 'no named revision'}")
    return "\n".join(lines)


def _gate(variant: Variant) -> list[str]:
    """Say what a variant was held against before it was written."""
    gate = variant.gate
    if gate is None:
        return ["passed no gate: auto takes it last"] if variant.precision == "int8" else []
    loss = "not measured" if gate.accuracy_loss is None else f"{gate.accuracy_loss:.2f} points"
    lines = [
        f"gate: {gate.texts:,} texts, {gate.labelled:,} labelled",
        f"      agreement {gate.agreement:.2%}, accuracy lost {loss}",
        f"      scores differ by {gate.mean_difference:.4f}, at most by {gate.largest_difference:.4f}",
    ]
    lines += [f"      not gated: {what}" for what in gate.not_gated]
    return lines + ([f"      remedy: {gate.remedy}"] if gate.remedy else [])
