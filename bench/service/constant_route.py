"""What the answer from the cache is measured against: a stock FastAPI route that always says the same.

    python -m bench.service.constant_route --port 8001

The request and response models are the service's own, handled the way FastAPI handles them; uvicorn has the
settings of `mlapi serve`. There is nothing else: no middleware, no metrics, no cache, no model.
"""
# Without `from __future__ import annotations`, because FastAPI has to find a body model made at run time.

import argparse

import uvicorn
from fastapi import FastAPI

from mlapi.api.schemas import LabelScore, Limits, ManyPredictions, SinglePrediction, predict_request
from mlapi.server import bind, make_config
from mlapi.settings import Settings

ANSWER = SinglePrediction(
    prediction=[
        LabelScore(label="POSITIVE", score=0.9973945617675781),
        LabelScore(label="NEGATIVE", score=0.00260542961768806),
    ]
)


def create_app() -> FastAPI:
    """Build the application, with the limits that the service has by default."""
    fields = Settings.model_fields
    body = predict_request(
        Limits(
            texts=fields["predict_max_texts"].default,
            chars=fields["predict_max_chars"].default,
            bytes=fields["predict_max_bytes"].default,
        )
    )
    app = FastAPI()

    @app.post("/project/predict", response_model=SinglePrediction | ManyPredictions)
    async def predict(_request: body) -> SinglePrediction:  # type: ignore[valid-type]
        return ANSWER

    @app.get("/project/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    return app


def main(arguments: list[str] | None = None) -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    config = make_config(create_app(), drain_timeout=1)
    uvicorn.Server(config).run(sockets=[bind("127.0.0.1", options.port)])


if __name__ == "__main__":
    main()
