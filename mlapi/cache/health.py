"""Whether a server answers, said once per change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Health:
    """Remembers the outcome of the last attempt and tells when it changes. Starts well.

    Attributes:
        ok: Whether the last attempt went well; true before the first.
        known: Whether there was an attempt.
    """

    def __init__(self, *, well: str, ill: str, on_change: Callable[[], None] | None = None) -> None:
        """Keep the words.

        Args:
            well: The line for the change to the better.
            ill: The line for the change to the worse; the error's kind is put after it.
            on_change: Called after the first attempt and after each change.
        """
        self._well = well
        self._ill = ill
        self._on_change = on_change
        self.ok = True
        self.known = False

    def succeeded(self) -> None:
        """Note an attempt that went well."""
        recovered = not self.ok
        if recovered or not self.known:
            self._change(ok=True)
        if recovered:
            logger.info("%s", self._well)

    def failed(self, error: BaseException) -> None:
        """Note an attempt that failed. Of the error only its type is logged: its text may quote a key."""
        if self.ok:
            self._change(ok=False)
            logger.warning("%s (%s)", self._ill, type(error).__name__)

    def _change(self, *, ok: bool) -> None:
        self.ok, self.known = ok, True
        if self._on_change is not None:
            self._on_change()
