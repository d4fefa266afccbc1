"""A loaded model: tokenizer, engine and activation as one thing that turns texts into probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mlapi.engines.activation import activate
from mlapi.engines.beside import run_beside
from mlapi.errors import EngineError, GoldenMismatch
from mlapi.ports import SharedEngine
from mlapi.types import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from mlapi.models.manifest import Golden
    from mlapi.ports import TextEngine, TokenEngine, Tokenizer
    from mlapi.types import ModelInfo, Probabilities

CHARACTERS_PER_TOKEN = 5
"""What one token of English text is worth in characters; prices texts whose engine does its own reading."""


class Reader(Protocol):
    """The half of a classifier that differs between token and text engines."""

    @property
    def calls(self) -> int:
        """How many calls of `infer_beside` may run at a time."""
        ...

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Turn texts into what `infer` takes, in order."""
        ...

    def infer(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Return logits of shape (len(encodings), labels)."""
        ...

    def infer_beside(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Return the same, computed beside other such calls."""
        ...

    def find_threads(self) -> frozenset[int]:
        """Return in which threads `infer_beside` computes, by the kernel's ids; none if that is unknown."""
        ...

    def close(self) -> None:
        """Release the engine. No call follows."""
        ...


@dataclass(frozen=True, slots=True)
class TokenReader:
    """Texts through a tokenizer into a `TokenEngine`."""

    tokenizer: Tokenizer
    engine: TokenEngine

    @property
    def calls(self) -> int:
        """How many calls of `infer_beside` may run at a time."""
        return self.engine.calls if isinstance(self.engine, SharedEngine) else 1

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Tokenise."""
        return self.tokenizer.encode(texts)

    def infer(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Return logits of shape (len(encodings), labels)."""
        return self.engine.infer([encoding.payload for encoding in encodings])  # type: ignore[misc]

    def infer_beside(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Return the same, computed beside other such calls."""
        if not isinstance(self.engine, SharedEngine):
            return self.infer(encodings)
        return self.engine.infer_beside([encoding.payload for encoding in encodings])  # type: ignore[misc]

    def find_threads(self) -> frozenset[int]:
        """Return in which threads `infer_beside` computes, by the kernel's ids; none if that is unknown."""
        return self.engine.find_threads() if isinstance(self.engine, SharedEngine) else frozenset()

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()


@dataclass(frozen=True, slots=True)
class TextReader:
    """Texts straight into a `TextEngine`."""

    engine: TextEngine
    calls = 1

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Wrap each text, priced by its characters."""
        return [
            Encoding(payload=text, length=1 + len(text) // CHARACTERS_PER_TOKEN, truncated=False)
            for text in texts
        ]

    def infer(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Return logits of shape (len(encodings), labels)."""
        return self.engine.infer_texts([encoding.payload for encoding in encodings])  # type: ignore[misc]

    def infer_beside(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Return the same."""
        return self.infer(encodings)

    def find_threads(self) -> frozenset[int]:
        """Return nothing: no call runs beside another."""
        return frozenset()

    def close(self) -> None:
        """Release the engine."""
        self.engine.close()


class Classifier:
    """A model that is loaded and can answer. `encode` may run in several threads, `classify` in one.

    Attributes:
        info: Which model it is.
        calls: In how many threads `classify_beside` may run.
    """

    def __init__(self, info: ModelInfo, reader: Reader) -> None:
        """Join a model's description with the reader that runs it."""
        self.info = info
        self.calls = reader.calls
        self._reader = reader

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Turn texts into what the engine takes, in order."""
        return self._reader.encode(texts)

    def classify(self, encodings: Sequence[Encoding]) -> list[Probabilities]:
        """Run one batch.

        Args:
            encodings: One or more encoded texts; padded to the longest of them.

        Returns:
            For each text the probabilities by label id.

        Raises:
            EngineError: The engine failed, or gave output of a wrong shape or a non-finite one.
        """
        return self._probabilities(self._logits(self._reader.infer, encodings))

    def classify_beside(self, encodings: Sequence[Encoding]) -> list[Probabilities]:
        """Run one batch beside other such calls, as `classify`, which must not run then."""
        return self._probabilities(self._logits(self._reader.infer_beside, encodings))

    def find_threads(self) -> frozenset[int]:
        """Return in which threads `classify_beside` computes, by the kernel's ids; none if it is unknown."""
        return self._reader.find_threads()

    def logits(self, encodings: Sequence[Encoding]) -> NDArray[np.float32]:
        """Run one batch and return the checked logits, shape (len(encodings), labels).

        Raises:
            EngineError: See `classify`.
        """
        return self._logits(self._reader.infer, encodings)

    def _probabilities(self, logits: NDArray[np.float32]) -> list[Probabilities]:
        return [tuple(row) for row in activate(logits, self.info.activation).tolist()]

    def _logits(
        self, infer: Callable[[Sequence[Encoding]], NDArray[np.float32]], encodings: Sequence[Encoding]
    ) -> NDArray[np.float32]:
        try:
            logits = infer(encodings)
        except Exception as error:
            raise EngineError(f"the {self.info.engine} engine failed ({type(error).__name__})") from error
        expected = (len(encodings), len(self.info.labels))
        if logits.shape != expected:
            raise EngineError(
                f"the {self.info.engine} engine gave shape {logits.shape} where {expected} was due"
            )
        if not np.isfinite(logits).all():
            raise EngineError(f"the {self.info.engine} engine gave a non-finite output")
        return logits

    def check_golden(
        self,
        golden: Sequence[Golden],
        *,
        tolerance: float,
        own: Sequence[Sequence[float]] | None = None,
    ) -> None:
        """Run the manifest's golden texts and compare probabilities with the recorded ones.

        Args:
            golden: Texts with the reference's logits.
            tolerance: Largest difference in any probability that still passes.
            own: This variant's own logits for them, to be met instead of the reference's.

        Raises:
            GoldenMismatch: A text's probability or truncation differs; names the text by its number.
            EngineError: The engine failed on one.
        """
        encodings = self.encode([expected.text for expected in golden])
        for number, (expected, encoding) in enumerate(zip(golden, encodings, strict=True), start=1):
            if encoding.truncated != expected.truncated:
                raise GoldenMismatch(
                    f"{self.info.name} ({self.info.variant}): golden text {number} is "
                    f"{'' if encoding.truncated else 'not '}truncated, against the manifest"
                )
        due = [expected.logits for expected in golden] if own is None else own
        singles = [[encoding] for encoding in encodings]
        self._compare(map(self.classify, singles), due, tolerance)
        if self.calls > 1:
            # Each call may have kernels of its own: no fewer texts than calls.
            rounds = -(-self.calls // len(singles))
            singles, due = singles * rounds, list(due) * rounds
            parts = run_beside(
                lambda first: [self.classify_beside(single) for single in singles[first :: self.calls]],
                range(self.calls),
            )
            beside = [parts[number % self.calls][number // self.calls] for number in range(len(singles))]
            self._compare(beside, due, tolerance)

    def _compare(
        self, answers: Iterable[list[Probabilities]], due: Sequence[Sequence[float]], tolerance: float
    ) -> None:
        for number, (actual, logits) in enumerate(zip(answers, due, strict=True), start=1):
            reference = activate(np.array([logits], dtype=np.float32), self.info.activation)[0]
            deviation = float(np.abs(np.array(actual[0]) - reference).max())
            if not deviation <= tolerance:  # so that a NaN fails as well
                raise GoldenMismatch(
                    f"{self.info.name} ({self.info.variant}): golden text {number} deviates by "
                    f"{deviation:.2g}, more than {tolerance:.2g}; this CPU or engine version does not give "
                    "the recorded answers: try another variant, or export the model on this machine"
                )

    def close(self) -> None:
        """Release the engine."""
        self._reader.close()
