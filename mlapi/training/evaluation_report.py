"""An evaluation for people, as a table, and for programs, as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from mlapi.training.scoring import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlapi.training.evaluate import Report
    from mlapi.training.results import Evaluation

NOTHING = "–"  # noqa: RUF001 - a dash as tables have it
HEADERS = (
    "variant",
    "acc.\n%",
    "95 % int.\n%",
    "F1\n%",
    "agree\n%",
    "diff.\nmean",
    "diff.\nlargest",
    "ECE\n%",
    "texts\n/s",
    "p50\nms",
    "p95\nms",
)


def table(report: Report) -> Table:
    """Lay out one row per variant; 80 columns hold it."""
    rows = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for header in HEADERS:
        rows.add_column(header, justify="left" if header == HEADERS[0] else "right", no_wrap=True)
    for each in report.evaluations:
        rows.add_row(*_cells(each, reference=report.reference))
    return rows


def _cells(each: Evaluation, *, reference: str | None) -> Iterator[str]:
    yield each.variant
    if (quality := each.quality) is None:
        yield from (NOTHING, NOTHING, NOTHING)
    else:
        low, high = quality.interval
        yield f"{100 * quality.accuracy:.2f}"
        yield f"{100 * low:.1f}–{100 * high:.1f}"  # noqa: RUF001 - a range
        yield f"{100 * quality.macro_f1:.2f}"
    if each.closeness is not None:
        yield f"{100 * each.closeness.agreement:.2f}"
        yield _small(each.closeness.mean_difference)
        yield _small(each.closeness.largest_difference)
    else:
        yield from ("ref." if each.variant == reference else NOTHING, NOTHING, NOTHING)
    yield NOTHING if quality is None else f"{100 * quality.calibration_error:.2f}"
    yield f"{each.texts_per_second:,.0f}"
    yield _milliseconds(each.latency_median)
    yield _milliseconds(each.latency_p95)


def heading(report: Report) -> str:
    """Say what was evaluated on what."""
    texts, manifest = report.texts, report.manifest
    counts = ", ".join(f"{label} {count}" for label, count in _per_label(report).items() if count)
    return (
        f"{manifest.name} {manifest.version} on {texts.name}: {len(texts.texts):,} texts, {texts.labelled:,} "
        f"labelled{f' ({counts})' if 0 < len(counts) < 60 else ''}; {report.threads} "  # noqa: PLR2004 - a line
        f"thread{'' if report.threads == 1 else 's'}"
    )


def notes(report: Report) -> list[str]:
    """Say what the table leaves open: what the figures compare with, and which variants are not in it."""
    lines = []
    if report.reference is None:
        lines.append("no float32 variant can be run here, so agreement and differences are not known")
    else:
        lines.append(f"agreement and differences: against {report.reference}")
    lines += [f"not evaluated: {name}: {why}" for name, why in report.unavailable.items()]
    lines += [f"wrong, not evaluated: {name}: {why}" for name, why in report.failed.items()]
    return lines


def as_json(report: Report) -> dict[str, Any]:
    """Return everything the table says, and the numbers behind the pictures; shares from 0 to 1."""
    manifest = report.manifest
    return {
        "model": {"name": manifest.name, "version": manifest.version, "labels": list(manifest.labels)},
        "data": {
            "name": report.texts.name,
            "sha256": report.texts.sha256,
            "texts": len(report.texts.texts),
            "labelled": report.texts.labelled,
            "per_label": _per_label(report),
        },
        "threads": report.threads,
        "batch": BATCH,
        "reference": report.reference,
        "variants": {
            each.variant: {
                "id": manifest.variants[each.variant].id,
                "quality": _quality(each),
                "closeness": None if each.closeness is None else asdict(each.closeness),
                "texts_per_second": each.texts_per_second,
                "latency_ms": {
                    "median": 1000 * each.latency_median,
                    "p95": 1000 * each.latency_p95,
                    "texts": each.singles,
                },
            }
            for each in report.evaluations
        },
        "unavailable": report.unavailable,
        "failed": report.failed,
    }


def _quality(each: Evaluation) -> dict[str, Any] | None:
    if (quality := each.quality) is None:
        return None
    plain = {**asdict(quality), "confusion": quality.confusion.tolist()}
    return {"accuracy": quality.accuracy, **plain}


def _per_label(report: Report) -> dict[str, int]:
    given = [index for label in report.texts.labels for index in label or ()]
    return {name: given.count(index) for index, name in enumerate(report.manifest.labels)}


def _small(difference: float) -> str:
    return f"{difference:.4f}" if difference == 0 or difference >= 1e-4 else f"{difference:.0e}"  # noqa: PLR2004


def _milliseconds(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004
