"""Whether a server answers, said once per change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Health:
    """Remembers the outcome of the last attempt and tells when it changes. Starts well."""

    def __init__(self, *, well: str, ill: str, on_change: Callable[[], None] | None = None) -> None:
        """Keep the words.

        Args:
            well: The line for the change to the better.
            ill: The line for the change to the worse; the error's kind is put after it.
            on_change: Called after each change.
        """
        self._well = well
        self._ill = ill
        self._on_change = on_change
        self.ok = True

    def succeeded(self) -> None:
        """Note an attempt that went well."""
        if not self.ok:
            self._change(ok=True)
            logger.info("%s", self._well)

    def failed(self, error: BaseException) -> None:
        """Note an attempt that failed. Of the error only its type is logged: its text may quote a key."""
        if self.ok:
            self._change(ok=False)
            logger.warning("%s (%s)", self._ill, type(error).__name__)

    def _change(self, *, ok: bool) -> None:
        self.ok = ok
        if self._on_change is not None:
            self._on_change()
