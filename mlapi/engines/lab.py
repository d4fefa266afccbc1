"""The `lab` engine: TF-IDF with logistic regression, from plain arrays, with numpy alone.

It gives what scikit-learn's `TfidfVectorizer` and `LogisticRegression` give, from four files: `config.json`
(how a text is read, and the intercept), `vocabulary.txt` (one n-gram a line), `idf.npy` and
`coefficients.npy` (float32, one value per n-gram). scikit-learn itself is needed for training only.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mlapi.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CONFIG_FILE = "config.json"
VOCABULARY_FILE = "vocabulary.txt"
IDF_FILE = "idf.npy"
COEFFICIENTS_FILE = "coefficients.npy"
LABELS = 2


class LabConfig(NamedTuple):
    """How a text is read: the part of `config.json` that the engine needs.

    Attributes:
        token_pattern: Regular expression whose matches are the words; it sees the text after `str.lower`.
        ngram_range: Shortest and longest n-gram, in words.
        sublinear_tf: Whether a count c weighs 1 + ln c instead of c.
        intercept: The regression's constant.
    """

    token_pattern: re.Pattern[str]
    ngram_range: tuple[int, int]
    sublinear_tf: bool
    intercept: float


class LabEngine:
    """A `TextEngine` for two labels."""

    name = "lab"

    def __init__(
        self,
        config: LabConfig,
        vocabulary: Sequence[str],
        idf: NDArray[np.float32],
        coefficients: NDArray[np.float32],
    ) -> None:
        """Join the parts of a model.

        Args:
            config: How texts are read.
            vocabulary: n-grams, words joined by one space.
            idf: Inverse document frequency of each n-gram, shape (len(vocabulary),).
            coefficients: Regression coefficient of each n-gram, same shape.

        Raises:
            ModelError: The parts do not fit each other, or hold values that are not finite.
        """
        for what, array in (("idf", idf), ("coefficients", coefficients)):
            if array.shape != (len(vocabulary),) or array.dtype != np.float32:
                raise ModelError(
                    f"the lab model's {what} are {array.dtype} of shape {array.shape}, but the vocabulary "
                    f"needs float32 of shape ({len(vocabulary)},); make the directory anew"
                )
            if not np.isfinite(array).all():
                raise ModelError(f"the lab model's {what} are not all finite; make the directory anew")
        self._config = config
        # Python floats: a text touches a few dozen of them, for which numpy's calls would cost more.
        self._weights = dict(
            zip(vocabulary, zip(idf.tolist(), coefficients.tolist(), strict=True), strict=True)
        )
        if len(self._weights) != len(vocabulary):
            raise ModelError("the lab model's vocabulary names an n-gram twice; make the directory anew")

    @classmethod
    def load(cls, directory: Path) -> LabEngine:
        """Load a model directory.

        Args:
            directory: Holds the four files that the module names.

        Raises:
            ModelError: A file is missing or malformed, or the files do not fit each other.
        """
        path = directory / VOCABULARY_FILE
        try:
            vocabulary = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"{path} cannot be read; make the directory anew with mlapi train lab"
            ) from error
        if vocabulary.pop():
            raise ModelError(f"{path} does not end with a line break: it is cut short; restore the file")
        return cls(
            _read_config(directory / CONFIG_FILE),
            vocabulary,
            _read_array(directory / IDF_FILE),
            _read_array(directory / COEFFICIENTS_FILE),
        )

    def infer_texts(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), 2).

        With the decision value z of the regression they are (-z/2, z/2), whose softmax is (1 - p, p) for
        p = 1 / (1 + exp(-z)). A text without any known n-gram has z = intercept.
        """
        decisions = np.fromiter((self._decision(text) for text in batch), dtype=np.float64, count=len(batch))
        return np.stack((-decisions / 2, decisions / 2), axis=1).astype(np.float32)

    def close(self) -> None:
        """Hold nothing that needs releasing."""

    def _decision(self, text: str) -> float:
        """Return z = coefficients · x + intercept, x being the text's TF-IDF vector of length one."""
        weights, sublinear = self._weights, self._config.sublinear_tf
        product = squares = 0.0
        for ngram, count in Counter(self._ngrams(text)).items():
            if (weight := weights.get(ngram)) is None:
                continue
            idf, coefficient = weight
            value = (1.0 + math.log(count) if sublinear and count > 1 else count) * idf
            product += value * coefficient
            squares += value * value
        return self._config.intercept + (product / math.sqrt(squares) if squares else 0.0)

    def _ngrams(self, text: str) -> Iterator[str]:
        words = self._config.token_pattern.findall(text.lower())
        shortest, longest = self._config.ngram_range
        for size in range(shortest, longest + 1):
            if size == 1:
                yield from words
            else:
                yield from map(" ".join, zip(*(words[start:] for start in range(size)), strict=False))


def _read_config(path: Path) -> LabConfig:
    try:
        config = json.loads(path.read_bytes())
        shortest, longest = (int(size) for size in config["ngram_range"])
        read = LabConfig(
            token_pattern=re.compile(config["token_pattern"]),
            ngram_range=(shortest, longest),
            sublinear_tf=bool(config["sublinear_tf"]),
            intercept=float(config["intercept"]),
        )
    except (OSError, ValueError, KeyError, TypeError, re.error) as error:
        raise ModelError(f"{path} is not a lab model's config; make the directory anew") from error
    if not (
        1 <= shortest <= longest
        and math.isfinite(read.intercept)
        and len(config.get("id2label", ())) == LABELS
    ):
        raise ModelError(f"{path} needs 1 <= shortest <= longest n-gram, a finite intercept and two labels")
    if config.get("lowercase") is not True or read.token_pattern.groups:
        raise ModelError(f"{path} asks for a way of reading text that this engine does not have")
    return read


def _read_array(path: Path) -> NDArray[np.float32]:
    try:
        array: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path} is not an array; make the directory anew with mlapi train lab") from error
    return array
