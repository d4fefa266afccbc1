"""Accuracy of an engine on a data set, counted through the code that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.engines.factory import load_classifier
from mlapi.models.manifest import Measurement

if TYPE_CHECKING:
    from pathlib import Path

    from mlapi.classifier import Classifier
    from mlapi.training.data import Dataset

BATCH = 32


def measure_variant(
    directory: Path, variant: str, datasets: list[Dataset], *, threads: int
) -> dict[str, Measurement]:
    """Load one variant of a model directory and measure it.

    Args:
        directory: The model directory; its digests and golden texts are checked by the loading.
        variant: The variant's name.
        datasets: What to measure on.
        threads: CPU threads for one inference call.

    Returns:
        The measurements, by the data sets' names without their ending (`dev`, `test`).

    Raises:
        ModelError: The directory is not fit to serve.
    """
    classifier = load_classifier(directory, variant=variant, threads=threads)
    try:
        return {dataset.name.partition(".")[0]: measure(classifier, dataset) for dataset in datasets}
    finally:
        classifier.close()


def measure(classifier: Classifier, dataset: Dataset) -> Measurement:
    """Count the texts whose most probable label is the recorded one."""
    encodings = classifier.encode(dataset.texts)
    order = sorted(range(len(encodings)), key=lambda row: encodings[row].length)
    correct = 0
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        logits = classifier.logits([encodings[row] for row in rows])
        predicted = logits.argmax(axis=1).tolist()
        correct += sum(label == dataset.labels[row] for row, label in zip(rows, predicted, strict=True))
    total = len(dataset.labels)
    return Measurement(
        correct=correct, total=total, accuracy=round(correct / total, 6), data_sha256=dataset.sha256
    )
