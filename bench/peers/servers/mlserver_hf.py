"""MLServer's own command with its Hugging Face runtime, on settings written here."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from bench.peers.servers.folder import transformers_folder
from bench.peers.servers.options import parser


def main() -> None:
    """Write settings.json and model-settings.json, and become the command."""
    arguments = parser()
    arguments.add_argument("--max-batch-size", type=int, required=True)
    arguments.add_argument("--max-batch-time-s", type=float, required=True)
    arguments.add_argument("--parallel-workers", type=int, required=True)
    options = arguments.parse_args()
    # The runtime takes a padding id of 0, which is BERT's, for none, and would then run texts one by one. Any
    # other token does: padding is masked.
    folder = transformers_folder(options.model, options.folder, padding="[MASK]")
    threads = len(os.sched_getaffinity(0))
    server = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": options.port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": options.parallel_workers,
    }
    model = {
        "name": "classifier",
        "implementation": "mlserver_huggingface.HuggingFaceRuntime",
        "max_batch_size": options.max_batch_size,
        "max_batch_time": options.max_batch_time_s,
        "parameters": {
            "extra": {
                "task": "text-classification",
                "pretrained_model": str(folder.absolute()),
                "framework": "pt",
                "intra_op_threads": threads,
            }
        },
    }
    for name, content in (("settings.json", server), ("model-settings.json", model)):
        (options.folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    command = str(Path(sys.executable).with_name("mlserver"))
    os.chdir(options.folder)  # it keeps its own files where it is started
    os.execv(command, [command, "start", "."])  # noqa: S606 - no shell is wanted


def free_port() -> int:
    """Return a port that nobody listens on now, for what is switched on and not asked."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
