"""The service with an engine that does nothing for a while, one text at a time, and with no cache.

python -m tests.support.slow_service --model models/starter --port 8001
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.service import null_engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

SECONDS = 0.1


class SleepingEngine(null_engine.NullEngine):
    """Takes its time for each call."""

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return what its parent returns, later."""
        time.sleep(SECONDS)
        return super().infer(batch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    os.environ |= {"MLAPI_MAX_BATCH_TEXTS": "1", "MLAPI_CACHE_ENTRIES": "0"}
    sys.exit(null_engine.serve(options.model, options.port, engine=SleepingEngine))
