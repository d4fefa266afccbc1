"""The pictures of an evaluation: a reliability diagram and a confusion matrix, as PNG."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from mlapi.training.results import Quality

SOFTWARE = {"Software": None}
"""Keeps matplotlib's version out of the file, so that equal figures are equal files."""

CORNERS = ("rightly not given", "wrongly given", "missed", "rightly given")
"""What a label that excludes no other can come to: the cells of its confusion matrix, row by row."""

MOST_COUNTED = 40
"""Labels up to which the cells have room for their counts."""

FEW_COLUMNS = 8
"""Columns below which cells may be wider than high, so that names fit below them."""

LONGEST_NAME = 24
DARK = 0.6
"""Share from which on a cell is so dark that its count is written in white."""


def draw_reliability(quality: Quality, path: Path, *, title: str) -> None:
    """Draw accuracy over confidence, bin by bin, and below it how many decisions each bin holds.

    Args:
        quality: A variant's figures.
        path: The PNG file to write.
        title: Says which model, variant and data.
    """
    filled = [each for each in quality.bins if each.count]
    centres = [(each.lower + each.upper) / 2 for each in filled]
    width = 0.92 / len(quality.bins)
    figure = _figure(5.6, 6.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot(
        [0, 1], [0, 1], color="0.25", linestyle="--", linewidth=1, zorder=3, label="confidence = accuracy"
    )
    upper.bar(
        centres, [each.accuracy for each in filled], width, color="#9ecae1", label="accuracy in the bin"
    )
    upper.plot(
        [each.confidence for each in filled],
        [each.accuracy for each in filled],
        color="tab:orange",
        marker="o",
        markersize=4,
        linewidth=0,
        label="at the bin's mean confidence",
    )
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    upper.set_title(
        f"{_plain(title)}\naccuracy {100 * quality.accuracy:.1f} % of {quality.total:,} texts, expected "
        f"calibration error {100 * quality.calibration_error:.1f} %",
        fontsize=10,
    )
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    counts = [each.count for each in filled]
    lower.bar(centres, counts, width, color="0.6")
    for centre, count in zip(centres, counts, strict=True):
        lower.annotate(
            f"{count}", (centre, count), (0, 2), textcoords="offset points", ha="center", fontsize=7
        )
    lower.set(xlabel="confidence", ylabel="decisions", ylim=(0, 1.2 * max(counts)))
    _save(figure, path)


def draw_confusion(quality: Quality, labels: Sequence[str], path: Path, *, title: str) -> None:
    """Draw which label was given for which, with counts; the shade is the share of the row.

    With labels that do not exclude each other, one row a label: how often it was rightly and wrongly given,
    and rightly and wrongly not.

    Args:
        quality: A variant's figures.
        labels: Label names by label id.
        path: The PNG file to write.
        title: Says which model, variant and data.
    """
    counts = quality.confusion
    names = [_plain(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…") for name in labels]
    if counts.ndim == 2:  # noqa: PLR2004 - labels that exclude each other
        columns, across, down = names, "given by the model", "label in the data"
    else:
        counts, columns, across, down = counts.reshape(len(labels), -1), list(CORNERS), "", "label"
    cell = 0.62 if len(labels) <= MOST_COUNTED else 0.22
    longest = 0.085 * max(len(name) for name in [*names, *columns])
    figure = _figure(
        max(5.0, cell * len(columns) + longest + 2.0), max(4.2, cell * len(names) + longest + 1.4)
    )
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    square = "auto" if counts.shape[1] < FEW_COLUMNS else "equal"
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect=square)
    figure.colorbar(image, ax=axes, label="share of the row", shrink=0.85)
    turned = len(columns) > 4 or longest > 1.2  # noqa: PLR2004 - names side by side would overlap
    axes.set_xticks(
        range(len(columns)), columns, rotation=45 if turned else 0, ha="right" if turned else "center"
    )
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=9 if len(labels) <= MOST_COUNTED else 6)
    axes.set(xlabel=across, ylabel=down)
    axes.set_title(_plain(title), fontsize=10)
    if len(labels) <= MOST_COUNTED:
        _write_counts(axes, counts, shares)
    _save(figure, path)


def _write_counts(axes: Any, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    few = counts.size <= 16  # noqa: PLR2004 - room for the share below the count
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{count:,}\n{100 * share:.1f} %" if few else f"{count}",
            ha="center",
            va="center",
            fontsize=11 if few else 8,
            color="white" if share > DARK else "black",
        )


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _save(figure: Any, path: Path) -> None:
    with warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the counts are still there.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(path, format="png", metadata=SOFTWARE)


def _plain(text: str) -> str:
    """Keep matplotlib from reading a label as a formula."""
    return text.replace("$", r"\$")
