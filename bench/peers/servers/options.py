"""The command line that all of these programs share."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Return it; a program may add its own."""
    made = argparse.ArgumentParser()
    made.add_argument("--model", type=Path, required=True, help="the model directory")
    made.add_argument("--folder", type=Path, required=True, help="the server's own, made if it is not there")
    made.add_argument("--port", type=int, required=True, help="to listen on, at 127.0.0.1")
    return made
