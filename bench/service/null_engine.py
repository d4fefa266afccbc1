"""The whole service behind its HTTP server, with the model's tokeniser and an engine that costs nothing.

    python -m bench.service.null_engine --model build/bench/full --port 8001

What its CPU time per request exceeds that of the tokeniser by is what the service adds around the two.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.service.engine import load_tokenizer
from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.factory import FAKE, load_classifier
from mlapi.main import create_app
from mlapi.server import Server, bind, make_config, run
from mlapi.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class NullEngine:
    """A `TokenEngine` that gives each label of each text the same logit."""

    name = "null"

    def __init__(self, *, labels: int) -> None:
        """Make one for a model of so many labels."""
        self._labels = labels

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels), all zero."""
        return np.zeros((len(batch), self._labels), dtype=np.float32)

    def close(self) -> None:
        """Hold nothing, release nothing."""


def serve(directory: Path, port: int, *, engine: type[NullEngine] = NullEngine) -> int:
    """Serve as `mlapi serve` does until a signal comes, and return the exit status.

    Args:
        directory: Of a model that reads token ids: its description and its tokeniser are used.
        port: To listen on.
        engine: Answers in place of the model's own.
    """
    info = load_classifier(directory, variant=FAKE, threads=1).info
    classifier = Classifier(info, TokenReader(load_tokenizer(directory), engine(labels=len(info.labels))))
    settings = Settings(model=directory, port=port)
    app = create_app(settings, classifier=classifier)
    config = make_config(app, drain_timeout=settings.drain_timeout_s)
    server = Server(config, serving=app.state.serving, grace=0.0)
    return run(app, bind(settings.host, settings.port), server)


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    return serve(options.model, options.port)


if __name__ == "__main__":
    sys.exit(main())
