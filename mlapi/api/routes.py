"""The routes. Each reads its body, asks the predictor, and writes the answer; nothing else."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mlapi.api.body import read_body
from mlapi.api.direct import DirectRoute
from mlapi.api.disconnect import until_disconnect
from mlapi.api.openapi import MANY_EXAMPLE, ONE_EXAMPLE, prediction_responses, request_body
from mlapi.api.rendering import Renderer
from mlapi.api.schemas import (
    Health,
    Limits,
    Liveness,
    ManyPredictions,
    ModelHealth,
    SinglePrediction,
    bulk_request,
    predict_request,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.serving import Serving
    from mlapi.types import Outcome

SERVICE_UNAVAILABLE = 503


class AnswerObserver(Protocol):
    """Who counts the texts that were answered; `mlapi.metrics` does."""

    def answered(self, *, hits: int, misses: int, coalesced: int, truncated: int) -> None:
        """Count one request's texts by where their answers came from."""
        ...


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """What the routes need to know.

    Attributes:
        prefix: Path under which they lie.
        predict: Limits of `predict`.
        bulk: Limits of `bulk-predict`.
        predict_timeout: Seconds for one `predict` request.
        bulk_timeout: Seconds for one `bulk-predict` request.
        stuck_after: Seconds in one engine call after which the process counts as dead.
    """

    prefix: str
    predict: Limits
    bulk: Limits
    predict_timeout: float
    bulk_timeout: float
    stuck_after: float


def build_router(config: RouteConfig, observer: AnswerObserver) -> APIRouter:
    """Make the routes for one configuration."""
    router = APIRouter(prefix=config.prefix, route_class=DirectRoute)
    predict_model = predict_request(config.predict)
    bulk_model = bulk_request(config.bulk)

    async def answer(request: Request, texts: Sequence[str], *, timeout: float) -> Outcome:  # noqa: ASYNC109
        """Have the texts predicted, for as long as the client waits."""
        predictor = _serving(request).require_predictor()
        outcome = predictor.recall(texts)
        if outcome is None:
            outcome = await until_disconnect(request.receive, predictor.predict(texts, timeout=timeout))
        observer.answered(
            hits=outcome.hits,
            misses=outcome.misses,
            coalesced=outcome.coalesced,
            truncated=outcome.truncated,
        )
        return outcome

    @router.post(
        "/predict",
        summary="Classify one text or a few",
        response_model=SinglePrediction | ManyPredictions,
        responses=prediction_responses(),
        openapi_extra=request_body(predict_model, {"one": ONE_EXAMPLE, "several": MANY_EXAMPLE}),
    )
    async def predict(request: Request) -> Response:
        body: Any = await read_body(request, predict_model, max_texts=config.predict.texts)
        one = isinstance(body.text, str)
        texts = [body.text] if one else body.text
        outcome = await answer(request, texts, timeout=config.predict_timeout)
        renderer = _renderer(request)
        content = renderer.single(outcome.predictions[0]) if one else await renderer.many(outcome.predictions)
        return _answer_response(request, content, outcome)

    @router.post(
        "/bulk-predict",
        summary="Classify thousands of texts",
        response_model=ManyPredictions,
        responses=prediction_responses(),
        openapi_extra=request_body(bulk_model, {"several": MANY_EXAMPLE}),
    )
    async def bulk_predict(request: Request) -> Response:
        body: Any = await read_body(request, bulk_model, max_texts=config.bulk.texts)
        outcome = await answer(request, body.text, timeout=config.bulk_timeout)
        return _answer_response(request, await _renderer(request).many(outcome.predictions), outcome)

    @router.head("/health", include_in_schema=False)
    @router.get(
        "/health",
        summary="Readiness: should this process get requests?",
        response_model=Health,
        responses={SERVICE_UNAVAILABLE: {"model": Health, "description": "Starting, draining, or stuck."}},
    )
    async def health(request: Request) -> Response:
        answer = _health(_serving(request), stuck_after=config.stuck_after)
        status = 200 if answer.status == "healthy" else SERVICE_UNAVAILABLE
        return JSONResponse(answer.model_dump(), status_code=status)

    @router.head("/health/live", include_in_schema=False)
    @router.get(
        "/health/live",
        summary="Liveness: should this process be left running?",
        response_model=Liveness,
        responses={SERVICE_UNAVAILABLE: {"model": Liveness, "description": "Restart the process."}},
    )
    async def live(request: Request) -> Response:
        alive = _serving(request).alive(stuck_after=config.stuck_after)
        return JSONResponse(
            {"status": "alive" if alive else "dead"}, status_code=200 if alive else SERVICE_UNAVAILABLE
        )

    return router


def _serving(request: Request) -> Serving:
    serving: Serving = request.scope["state"]["serving"]
    return serving


def _renderer(request: Request) -> Renderer:
    """Return the renderer of the model that answers, made once."""
    renderer: Renderer | None = getattr(request.app.state, "renderer", None)
    if renderer is None:
        renderer = Renderer(_serving(request).require_predictor().info.labels)
        request.app.state.renderer = renderer
    return renderer


class _Encoded(Response):
    """A response of 200 whose headers are bytes already, which is all that Starlette would make of them."""

    def __init__(self, content: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code = 200
        self.background = None
        self.body = content
        self.raw_headers = headers


def _answer_response(request: Request, content: bytes, outcome: Outcome) -> Response:
    times = outcome.timings
    timing = (
        f"cache;dur={times.cache * 1000:.2f}, tokenize;dur={times.tokenize * 1000:.2f}, "
        f"queue;dur={times.queue * 1000:.2f}, infer;dur={times.infer * 1000:.2f}"
    )
    counts = f"hits={outcome.hits}, misses={outcome.misses}, coalesced={outcome.coalesced}"
    return _Encoded(
        content,
        [
            (b"x-model-version", _serving(request).require_predictor().info.version.encode()),
            (b"x-cache", counts.encode()),
            (b"x-truncated", str(outcome.truncated).encode()),
            (b"server-timing", timing.encode()),
            (b"content-length", str(len(content)).encode()),
            (b"content-type", b"application/json"),
        ],
    )


def _health(serving: Serving, *, stuck_after: float) -> Health:
    info = serving.predictor.info if serving.predictor else None
    model = None
    if info is not None:
        model = ModelHealth(
            name=info.name,
            version=info.version,
            variant=info.variant,
            precision=info.precision,
            reason=info.reason,
            labels=list(info.labels),
            max_length=info.max_length,
        )
    return Health(
        status=serving.status(stuck_after=stuck_after),
        time=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
        model=model,
        engine=info.engine if info else None,
        cache=serving.predictor.cache_status if serving.predictor else None,
    )
