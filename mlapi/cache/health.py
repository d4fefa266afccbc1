"""Whether a server answers, said once per change."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)


class Health:
    """Remembers the outcome of the last attempt and logs when it changes. Starts well."""

    def __init__(self, *, well: str, ill: str) -> None:
        """Keep the words.

        Args:
            well: The line for the change to the better.
            ill: The line for the change to the worse; the error's kind is put after it.
        """
        self._well = well
        self._ill = ill
        self.ok = True

    def succeeded(self) -> None:
        """Note an attempt that went well."""
        if not self.ok:
            self.ok = True
            logger.info("%s", self._well)

    def failed(self, error: BaseException) -> None:
        """Note an attempt that failed. Of the error only its type is logged: its text may quote a key."""
        if self.ok:
            self.ok = False
            logger.warning("%s (%s)", self._ill, type(error).__name__)
