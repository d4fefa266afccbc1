"""infinity_emb's own command, on a folder that it can read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bench.peers.servers.folder import transformers_folder
from bench.peers.servers.options import parser


def main() -> None:
    """Become the command; what this program does not know is passed on to it."""
    options, more = parser().parse_known_args()
    folder = transformers_folder(options.model, options.folder)
    command = str(Path(sys.executable).with_name("infinity_emb"))
    arguments = ["v2", "--model-id", str(folder), "--served-model-name", "model", "--device", "cpu"]
    arguments += ["--host", "127.0.0.1", "--port", str(options.port), *more]
    os.execv(command, [command, *arguments])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
