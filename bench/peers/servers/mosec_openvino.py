"""mosec with dynamic batching on our OpenVINO model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import mosec  # type: ignore[import-not-found]  # in an environment of its own

from bench.peers.servers.openvino_model import OpenVinoModel
from bench.peers.servers.options import parser

MODEL = "BENCH_MODEL"
MAX_BATCH = 32
REQUEST_TIMEOUT_MS = 120_000


class Classifier(mosec.Worker):  # type: ignore[misc]
    """Tokenises and classifies a batch; mosec starts it in a process of its own, without arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._model = OpenVinoModel(Path(os.environ[MODEL]))

    def forward(self, data: list[dict[str, str]]) -> list[Any]:
        """Classify the texts of so many requests."""
        return self._model([entry["text"] for entry in data])


def main() -> None:
    """Serve until a signal comes."""
    arguments = parser()
    arguments.add_argument("--max-wait-ms", type=int, required=True)
    options = arguments.parse_args()
    # mosec reads its own settings from the environment, or from these arguments, which it does not know.
    sys.argv = sys.argv[:1]
    os.environ |= {
        MODEL: str(options.model),
        "MOSEC_ADDRESS": "127.0.0.1",
        "MOSEC_PORT": str(options.port),
        "MOSEC_TIMEOUT": str(REQUEST_TIMEOUT_MS),
        "MOSEC_LOG_LEVEL": "warning",
    }
    server = mosec.Server()
    server.append_worker(
        Classifier, num=1, max_batch_size=MAX_BATCH, max_wait_time=options.max_wait_ms, route="/predict"
    )
    server.run()


if __name__ == "__main__":
    main()
