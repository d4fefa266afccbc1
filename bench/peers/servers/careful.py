"""What someone writes who knows FastAPI and torch: the model in a worker thread, threads set, no autograd."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bench.peers.servers.folder import transformers_folder
from bench.peers.servers.options import parser
from bench.peers.servers.torch_model import Label, TorchModel

BATCH = 32


class Message(BaseModel):
    """One text."""

    text: str


class Messages(BaseModel):
    """Many texts."""

    texts: list[str]


def in_batches(model: TorchModel, texts: list[str]) -> list[list[Label]]:
    """Return all labels of each text, in the order of the texts; texts of like length share a batch."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    answers: list[list[Label]] = [[] for _ in texts]
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        for row, labels in zip(rows, model([texts[row] for row in rows]), strict=True):
            answers[row] = labels
    return answers


def main() -> None:
    """Serve until a signal comes."""
    options = parser().parse_args()
    model = TorchModel(transformers_folder(options.model, options.folder))
    model(["warm"])
    worker = ThreadPoolExecutor(max_workers=1)  # more would share the same cores
    app = FastAPI()

    @app.post("/predict")
    async def predict(message: Message) -> list[Label]:
        answers = await asyncio.get_running_loop().run_in_executor(worker, model, [message.text])
        return answers[0]

    @app.post("/predict-bulk")
    async def predict_bulk(messages: Messages) -> list[list[Label]]:
        return await asyncio.get_running_loop().run_in_executor(worker, in_batches, model, messages.texts)

    uvicorn.run(app, port=options.port, access_log=False)


if __name__ == "__main__":
    main()
