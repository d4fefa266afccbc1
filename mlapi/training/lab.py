"""Training the lab model: TF-IDF and logistic regression by scikit-learn, saved as plain arrays."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlapi.engines.lab import COEFFICIENTS_FILE, CONFIG_FILE, IDF_FILE, VOCABULARY_FILE, LabEngine
from mlapi.errors import ModelError
from mlapi.models.atomic import check_replaceable, fresh_directory
from mlapi.models.manifest import (
    Golden,
    Manifest,
    Training,
    Variant,
    file_entry,
    model_version,
    variant_id,
    write_manifest,
)
from mlapi.training.data import ID2LABEL
from mlapi.training.directory import record_measurements
from mlapi.training.evaluate import measure_variant
from mlapi.training.golden import GOLDEN_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from mlapi.training.data import Dataset, Splits

WORD_PATTERN = r"n't|[a-z0-9]+?(?=n't)|'[a-z]+|[a-z0-9]+|[!?]"
"""Words of ASCII letters and digits after `str.lower`. `doesn't` and `does n't` both give does, n't."""

NGRAM_RANGE = (1, 2)
SIZE_LIMIT = 1_500_000
"""Most bytes that the model's files may take together; they are carried by the repository."""

VARIANT = "lab-fp32"
GOLDEN_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Choice:
    """One setting of what the search varies.

    Attributes:
        features: How many n-grams are kept.
        C: Inverse strength of the regularisation.
    """

    features: int
    C: float


GRID = tuple(
    Choice(features=features, C=C) for features in (20_000, 40_000, 60_000) for C in (1.0, 2.0, 4.0, 8.0)
)


def train_lab(
    splits: Splits,
    out: Path,
    *,
    seed: int,
    command: str,
    grid: Sequence[Choice] = GRID,
    say: Callable[[str], None] = print,
    size_limit: int = SIZE_LIMIT,
) -> Manifest:
    """Fit every choice of the grid on train, keep the best on dev, and write it as a model directory.

    The same data, seed and scikit-learn give the same files. The test split is read once, after the choice.

    Args:
        splits: The data.
        out: The directory to make; one that was there is replaced when the new one is whole.
        seed: Seed of the solver.
        command: What the manifest says the model was made by.
        grid: What to try.
        say: Takes one line on each fit.
        size_limit: Most bytes that the files may take together.

    Returns:
        The manifest, as written.

    Raises:
        ModelError: The files are larger than `size_limit`.
        ConfigurationError: `out` cannot be written, or holds something that is no model directory.
    """
    check_replaceable(out)
    best, best_accuracy = grid[0], -1.0
    for choice in grid:
        vectorizer, regression = fit(splits.train, choice, seed=seed)
        accuracy = float(regression.score(vectorizer.transform(splits.dev.texts), splits.dev.labels))
        say(f"{choice.features} n-grams, C={choice.C:g}: {accuracy:.2%} on dev")
        if accuracy > best_accuracy:
            best, best_accuracy = choice, accuracy
    with fresh_directory(out) as partial:
        save(*fit(splits.train, best, seed=seed), best, partial)
        training = Training(command=command, seed=seed, data=splits.digests)
        write_manifest(partial, lab_manifest(partial, name=out.name, training=training))
        measured = measure_variant(partial, VARIANT, [splits.dev, splits.test], threads=1)
        manifest = record_measurements(partial, {VARIANT: measured})
        size = sum(file.stat().st_size for file in partial.iterdir())
        if size > size_limit:
            raise ModelError(f"the lab model takes {size} bytes, more than {size_limit}; keep fewer n-grams")
    return manifest


def fit(train: Dataset, choice: Choice, *, seed: int) -> tuple[TfidfVectorizer, LogisticRegression]:
    """Fit twice: on every n-gram that two texts share, then on those whose coefficients were the largest."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    def regression() -> LogisticRegression:
        return LogisticRegression(C=choice.C, solver="liblinear", random_state=seed, max_iter=1000)

    reading = {
        "lowercase": False,
        "preprocessor": str.lower,
        "token_pattern": WORD_PATTERN,
        "ngram_range": NGRAM_RANGE,
        "sublinear_tf": True,
    }
    everything = TfidfVectorizer(**reading, min_df=2)
    coefficients = regression().fit(everything.fit_transform(train.texts), train.labels).coef_[0]
    largest = np.argsort(-np.abs(coefficients), kind="stable")[: choice.features]
    kept = everything.get_feature_names_out()[np.sort(largest)].tolist()
    vectorizer = TfidfVectorizer(**reading, vocabulary=kept)
    return vectorizer, regression().fit(vectorizer.fit_transform(train.texts), train.labels)


def save(
    vectorizer: TfidfVectorizer, regression: LogisticRegression, choice: Choice, directory: Path
) -> None:
    """Write the four files that `mlapi.engines.lab` reads."""
    config = {
        "architectures": ["TfidfLogisticRegression"],
        "id2label": {str(index): label for index, label in ID2LABEL.items()},
        "lowercase": True,
        "token_pattern": WORD_PATTERN,
        "ngram_range": list(NGRAM_RANGE),
        "sublinear_tf": True,
        "norm": "l2",
        "intercept": float(regression.intercept_[0]),
        "features": choice.features,
        "C": choice.C,
    }
    (directory / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    ngrams = vectorizer.get_feature_names_out().tolist()
    (directory / VOCABULARY_FILE).write_text("".join(f"{ngram}\n" for ngram in ngrams), encoding="utf-8")
    for name, values in ((IDF_FILE, vectorizer.idf_), (COEFFICIENTS_FILE, regression.coef_[0])):
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(values, dtype="<f4"), allow_pickle=False)
        (directory / name).write_bytes(buffer.getvalue())


def lab_manifest(directory: Path, *, name: str, training: Training | None = None) -> Manifest:
    """Describe a directory that holds the four files; its golden logits are the engine's own.

    Args:
        directory: The model directory.
        name: The model's name.
        training: Where the arrays came from.
    """
    names = (CONFIG_FILE, VOCABULARY_FILE, IDF_FILE, COEFFICIENTS_FILE)
    files = {file: file_entry(directory / file) for file in names}
    digests = {file: entry.sha256 for file, entry in files.items()}
    labels = list(ID2LABEL.values())
    logits = LabEngine.load(directory).infer_texts(GOLDEN_TEXTS).tolist()
    return Manifest(
        schema=1,
        name=name,
        architecture="TfidfLogisticRegression",
        version=model_version(labels=labels, activation="softmax", max_length=None, base_digests=digests),
        id2label=ID2LABEL,
        activation="softmax",
        max_length=None,
        files=files,
        base_files=names,
        variants={
            VARIANT: Variant(
                engine="lab",
                precision="fp32",
                id=variant_id(engine="lab", digests=digests),
                files=names,
                golden_tolerance=GOLDEN_TOLERANCE,
            )
        },
        golden=tuple(
            Golden(text=text, logits=tuple(round(logit, 6) for logit in row))
            for text, row in zip(GOLDEN_TEXTS, logits, strict=True)
        ),
        training=training,
    )
