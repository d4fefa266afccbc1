"""Learning curves as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlapi.training.loop import Evaluation

SOFTWARE = {"Software": None}
"""Keeps matplotlib's version out of the file, so that equal curves are equal files."""


def draw_curves(stages: Mapping[str, Sequence[Evaluation]], path: Path) -> None:
    """Draw training loss and accuracy on dev over the epochs, one panel a stage.

    Args:
        stages: The evaluations of each stage, in order; the names become titles.
        path: The PNG file to write; its folder is made.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 if len(stages) == 1 else 9.6, 3.6), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(stages), squeeze=False)[0]
    for panel, (name, history) in zip(panels, stages.items(), strict=True):
        _draw(panel, history)
        panel.set_title(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata=SOFTWARE)


def _draw(left: Any, history: Sequence[Evaluation]) -> None:
    epochs = [evaluation["epoch"] for evaluation in history]
    left.plot(epochs, [evaluation["loss"] for evaluation in history], color="tab:gray", label="training loss")
    left.set(xlabel="epoch", ylabel="training loss")
    right = left.twinx()
    accuracies = [100 * evaluation["accuracy"] for evaluation in history]
    right.plot(epochs, accuracies, color="tab:blue", marker="o", markersize=3, label="accuracy on dev")
    best = max(range(len(history)), key=lambda place: (accuracies[place], -place))
    right.plot(
        epochs[best], accuracies[best], "o", color="tab:orange", label=f"kept: {accuracies[best]:.1f} %"
    )
    right.set_ylabel("accuracy on dev, %")
    lines = [*left.get_lines(), *right.get_lines()]
    # Below the panel, where it hides no line.
    labels = [str(line.get_label()) for line in lines]
    left.legend(lines, labels, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False)
