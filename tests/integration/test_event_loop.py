"""How long one request keeps the event loop from everybody else.

Measured inside the serving process, by a task that asks for a turn all the time: the most CPU time that the
loop's thread spends between two of its turns. CPU time, because other programs on the machine are not ours to
answer for; the median of several rounds, because a busy neighbour slows the CPU down as well.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import SecretStr

from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.main import create_app
from mlapi.settings import Settings
from tests.support.fakes import INFO, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

BOUND_S = 0.050
ROUNDS = 5


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client in the serving process, so that the test can watch the service's event loop."""
    classifier = Classifier(INFO, TokenReader(FakeTokenizer(), FakeEngine()))
    app = create_app(Settings(redis_url=SecretStr("memory://"), cache_entries=0), classifier=classifier)
    async with app.router.lifespan_context(app) as state:
        await eventually(lambda: app.state.serving.phase == "healthy")

        async def with_state(scope, receive, send):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(app=with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=60) as inside:
            yield inside


async def _longest_hold(work: Callable[[], Awaitable[object]]) -> float:
    """Return the most CPU seconds that the loop spent without giving anybody a turn while `work` ran."""
    longest, last, running = 0.0, time.thread_time(), True

    async def watch() -> None:
        nonlocal longest, last
        while running:
            now = time.thread_time()
            longest, last = max(longest, now - last), now
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    last = time.thread_time()
    await work()
    running = False
    await watcher
    return longest


def _body(texts: list[str]) -> bytes:
    return json.dumps({"text": texts}).encode()


BODIES = {
    "5,000 sentences": _body(
        [f"sentence number {n} about the weather, the food and the sea" for n in range(5000)]
    ),
    "4 MB of accents, escaped": _body([f"{'é' * 65}{n}" for n in range(9990)]),
    "4 MB that ends too early": _body([f"{'é' * 65}{n}" for n in range(9990)])[:-1],
    "4 MB with a lone surrogate": _body([*[f"{'e' * 400}{n}" for n in range(9990)], "\ud800"]),
    "4 MB of zeros": b'{"text":[' + b"0," * 2_000_000 + b"0]}",
    "4 MB of empty lists": b'{"text":[' + b"[]," * 1_350_000 + b"0]}",
    "4 MB of fields": b"{" + b",".join(b'"%d":0' % n for n in range(380_000)) + b"}",
    "10,000 nulls": b'{"text":[' + b"null," * 9_999 + b"null]}",
}


@pytest.mark.parametrize("name", BODIES)
async def test_no_body_holds_the_event_loop(client: httpx.AsyncClient, name: str) -> None:
    """One large or odd request would stall every other client, and the probes with them."""
    body = BODIES[name]

    async def send() -> None:
        reply = await client.post("/project/bulk-predict", content=body)
        assert reply.status_code in {200, 400, 413, 422}

    holds = [await _longest_hold(send) for _ in range(ROUNDS)]
    assert statistics.median(holds) <= BOUND_S, f"held for {[f'{hold * 1000:.0f} ms' for hold in holds]}"
