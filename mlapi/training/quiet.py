"""Keeping libraries' remarks about their own work off the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CHATTY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir", "transformers", "nncf")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and remarks of transformers, the exporter and the quantiser.

    Errors still come through. Loggers keep what a library set while it was imported in here.
    """
    from transformers.utils import logging as transformers_logging

    bars: Any = transformers_logging

    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    showing = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if showing:
            bars.enable_progress_bar()
