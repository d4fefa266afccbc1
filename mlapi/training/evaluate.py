"""How good and how fast a model's variants are on a file of texts, found through the code that serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlapi.engines.factory import AUTO, load_classifier
from mlapi.errors import DigestMismatch, EngineError, ManifestError, ModelError, VariantUnavailable
from mlapi.models.directory import ModelDirectory
from mlapi.models.manifest import Measurement
from mlapi.training.results import figures_of
from mlapi.training.scoring import score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlapi.models.manifest import Manifest
    from mlapi.training.data import Dataset
    from mlapi.training.labelled import TextSet
    from mlapi.training.results import Evaluation
    from mlapi.training.scoring import Scores

ALL = "all"
SINGLES = 100
"""Texts that are run alone, for the latency."""

REFERENCES = ("torch", "onnx", "openvino", "lab")
"""Engines whose float32 variant the others are compared with; the first that loads."""

Watch = Callable[[str, int], Callable[[int], object]]
"""Is told which variant is run and how many texts that takes; gives what is told how many more are done."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one evaluation found.

    Attributes:
        manifest: The model's.
        texts: What it was evaluated on.
        threads: CPU threads of an engine call.
        reference: The float32 variant that the others were compared with, or None.
        evaluations: Of each variant that could be run, in the manifest's order.
        unavailable: Why a variant was not run, where its engine is not installed. Beside those asked for, the
            float32 ones where none of them can be run.
        failed: The same, where this machine does not give the variant's recorded answers.
    """

    manifest: Manifest
    texts: TextSet
    threads: int
    reference: str | None
    evaluations: tuple[Evaluation, ...]
    unavailable: dict[str, str]
    failed: dict[str, str]


def evaluate(
    path: Path, texts: TextSet, *, variants: Sequence[str] = (ALL,), threads: int, watch: Watch | None = None
) -> Report:
    """Run variants of a model on a file of texts, one after the other.

    Args:
        path: The model directory; digests and golden texts are checked by the loading.
        texts: Read for this model's labels.
        variants: Names; `auto` is the one that serving would take, `all` is every one.
        threads: CPU threads of an engine call.
        watch: Shows progress.

    Raises:
        ModelError: No such variant, the directory's files are not those of its manifest, or none of the
            variants can be run: then the first one's error.
        EngineError: As above, from the engine.
        DataError: A label is not one that the model can give.
    """
    directory = ModelDirectory.open(path)
    texts.check_labels(directory.manifest.activation)
    runs = _Runs(path, texts, threads=threads, watch=watch or (lambda _name, _total: lambda _done: None))
    wanted = [runs.score_auto() if name == AUTO else name for name in _named(directory, variants)]
    for name in wanted:
        runs.score(name, singles=SINGLES)
    done = [name for name in directory.manifest.variants if name in wanted and name in runs.scores]
    if not done:
        raise runs.errors[wanted[0]]
    reference = runs.reference(directory.manifest)
    # Without a reference, the reader needs to know what stands in the way of each that could be one.
    asked = wanted if reference is not None else [*dict.fromkeys([*wanted, *_floats(directory.manifest)])]
    return Report(
        manifest=directory.manifest,
        texts=texts,
        threads=threads,
        reference=None if reference is None else reference.variant,
        evaluations=tuple(
            figures_of(
                runs.scores[name], texts, reference=reference, activation=directory.manifest.activation
            )
            for name in done
        ),
        unavailable=runs.reasons(asked, unavailable=True),
        failed=runs.reasons(asked, unavailable=False),
    )


def measurements(report: Report) -> dict[str, dict[str, Measurement]]:
    """Return what the manifest is to record, by variant and data set: earlier measurements, and these.

    A data set is named as its file, without the ending. Empty where no text is labelled.
    """
    data = report.texts.name.partition(".")[0]
    return {
        each.variant: {
            **report.manifest.variants[each.variant].measured,
            data: _measurement(each.quality.correct, each.quality.total, sha256=report.texts.sha256),
        }
        for each in report.evaluations
        if each.quality is not None
    }


def measure_variant(
    directory: Path, variant: str, datasets: list[Dataset], *, threads: int
) -> dict[str, Measurement]:
    """Load one variant of a model directory and count its accuracy.

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
        measured = {}
        for dataset in datasets:
            given = score(classifier, dataset.texts).probabilities.argmax(axis=1)
            correct = int((given == np.array(dataset.labels)).sum())
            data = dataset.name.partition(".")[0]
            measured[data] = _measurement(correct, len(dataset.labels), sha256=dataset.sha256)
        return measured
    finally:
        classifier.close()


def _measurement(correct: int, total: int, *, sha256: str) -> Measurement:
    return Measurement(correct=correct, total=total, accuracy=round(correct / total, 6), data_sha256=sha256)


def _named(directory: ModelDirectory, variants: Sequence[str]) -> list[str]:
    """Spell out `all`, and refuse what the directory does not have."""
    names: list[str] = []
    for name in variants:
        if name not in {ALL, AUTO}:
            directory.variant(name)
        names += directory.manifest.variants if name == ALL else [name]
    return list(dict.fromkeys(names))


def _floats(manifest: Manifest) -> list[str]:
    """Return the float32 variants, the preferred reference first."""
    floats = [name for name, variant in manifest.variants.items() if variant.precision == "fp32"]
    return sorted(floats, key=lambda name: REFERENCES.index(manifest.variants[name].engine))


class _Runs:
    """Runs each variant once, one at a time in memory, and keeps what came of it."""

    def __init__(self, path: Path, texts: TextSet, *, threads: int, watch: Watch) -> None:
        self._path = path
        self._texts = texts
        self._threads = threads
        self._watch = watch
        self.scores: dict[str, Scores] = {}
        self.errors: dict[str, ModelError | EngineError] = {}

    def score(self, name: str, *, singles: int) -> None:
        """Run a variant that was not run before; what it cannot do is kept as its error."""
        if name in self.scores or name in self.errors:
            return
        try:
            self._run(name, singles=singles)
        except (DigestMismatch, ManifestError):
            raise
        except (ModelError, EngineError) as error:
            self.errors[name] = error

    def score_auto(self) -> str:
        """Run the variant that serving would take, and return its name."""
        return self._run(AUTO, singles=SINGLES)

    def reference(self, manifest: Manifest) -> Scores | None:
        """Return the scores of the first float32 variant that can be run, if need be by running it."""
        for name in _floats(manifest):
            self.score(name, singles=0)
            if name in self.scores:
                return self.scores[name]
        return None

    def reasons(self, wanted: Sequence[str], *, unavailable: bool) -> dict[str, str]:
        """Return why wanted variants were not run: for want of their engine, or for other causes."""
        return {
            name: str(self.errors[name])
            for name in wanted
            if name in self.errors and isinstance(self.errors[name], VariantUnavailable) == unavailable
        }

    def _run(self, name: str, *, singles: int) -> str:
        classifier = load_classifier(self._path, variant=name, threads=self._threads)
        name = classifier.info.variant
        try:
            total = len(self._texts.texts)
            progress = self._watch(name, total + min(singles, total))
            self.scores[name] = score(classifier, self._texts.texts, singles=singles, progress=progress)
        finally:
            classifier.close()
        return name
