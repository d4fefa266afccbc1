"""LitServe with batching, on torch or on OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import litserve  # type: ignore[import-not-found]  # in an environment of its own

from bench.peers.servers.folder import transformers_folder
from bench.peers.servers.options import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MAX_BATCH = 32
REQUEST_TIMEOUT_S = 120


class ClassifierAPI(litserve.LitAPI):  # type: ignore[misc]
    """One text a request; the server collects them into batches."""

    def __init__(self, engine: str, model: Path, folder: Path, *, batch_timeout_s: float) -> None:
        """Keep what `setup` needs, which runs in the worker.

        Args:
            engine: `torch` or `openvino`.
            model: The model directory.
            folder: The server's own.
            batch_timeout_s: Longest wait for a full batch.
        """
        super().__init__(max_batch_size=MAX_BATCH, batch_timeout=batch_timeout_s)
        self._places = engine, model, folder

    def setup(self, device: str) -> None:  # noqa: ARG002 - the server tells it; there is the CPU alone
        """Load the model."""
        engine, model, folder = self._places
        self._model: Callable[[Sequence[str]], list[Any]]
        if engine == "torch":
            from bench.peers.servers.torch_model import TorchModel

            self._model = TorchModel(transformers_folder(model, folder))
        else:
            from bench.peers.servers.openvino_model import OpenVinoModel

            self._model = OpenVinoModel(model)

    def decode_request(self, request: dict[str, str]) -> str:
        """Take the text out of the JSON."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Leave texts as they are: the tokenizer takes them all at once."""
        return inputs

    def predict(self, x: list[str]) -> list[Any]:
        """Classify a batch."""
        return self._model(x)

    def unbatch(self, output: list[Any]) -> list[Any]:
        """Leave the answers as they are: one for each text."""
        return output

    def encode_response(self, output: Any) -> Any:
        """Give the labels as JSON."""
        return output


def main() -> None:
    """Serve until a signal comes."""
    arguments = parser()
    arguments.add_argument("--engine", choices=("torch", "openvino"), required=True)
    arguments.add_argument("--batch-timeout-s", type=float, required=True)
    arguments.add_argument("--fast-queue", action="store_true")
    options = arguments.parse_args()
    api = ClassifierAPI(
        options.engine, options.model, options.folder, batch_timeout_s=options.batch_timeout_s
    )
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=1,
        timeout=REQUEST_TIMEOUT_S,
        fast_queue=options.fast_queue,
    )
    server.run(
        host="127.0.0.1",
        port=options.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
