"""A pipeline behind a route, as most tutorials write it: loaded once, nothing tuned, nothing batched."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

from bench.peers.servers.folder import transformers_folder
from bench.peers.servers.options import parser


class Message(BaseModel):
    """What is to be classified."""

    text: str


def main() -> None:
    """Serve until a signal comes."""
    options = parser().parse_args()
    classifier = pipeline(
        "text-classification", model=str(transformers_folder(options.model, options.folder))
    )
    app = FastAPI()

    @app.post("/predict")
    def predict(message: Message) -> dict[str, str | float]:
        # Most tutorials leave this out, and a text beyond the model's length is an error.
        result: dict[str, str | float] = classifier(message.text, truncation=True)[0]
        return result

    uvicorn.run(app, port=options.port)


if __name__ == "__main__":
    main()
