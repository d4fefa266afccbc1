"""What the latest batches tell about the engine: decaying sums, so that large batches weigh more."""

from __future__ import annotations

SPEED_MEMORY = 0.9
"""How much of what earlier batches taught about the engine's speed outlives one more batch."""


class EngineSpeed:
    """A running estimate; all values are 0.0 until the first batch."""

    def __init__(self) -> None:
        """Know nothing."""
        self._texts = self._tokens = self._seconds = 0.0

    def note(self, *, texts: int, tokens: int, seconds: float) -> None:
        """Learn from one batch: its texts, its tokens without padding, and the engine's time in seconds."""
        self._texts = self._texts * SPEED_MEMORY + texts
        self._tokens = self._tokens * SPEED_MEMORY + tokens
        self._seconds = self._seconds * SPEED_MEMORY + seconds

    @property
    def seconds_per_token(self) -> float:
        """Engine time per token without padding."""
        return self._seconds / self._tokens if self._tokens else 0.0

    @property
    def tokens_per_text(self) -> float:
        """Mean length of a text."""
        return self._tokens / self._texts if self._texts else 0.0
