"""What is cached by one route, process or model is found, or not found, by another; with a real Redis."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.http_server import HttpServer, wait_until
from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_server import RedisServer

LONG = "very " * 600
TEXTS = ["a great film", LONG, "the plot is dull", "", "not bad 🎬"]


def _cache(reply: Any) -> str:
    assert reply.status_code == 200, reply.text
    counted: str = reply.headers["X-Cache"]
    return counted


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("entries", [0, 1000], ids=["redis alone", "with the process's own"])
def test_a_predicted_text_is_a_hit_in_bulk_in_any_position(
    tmp_path: Path, redis_server: RedisServer, position: int, entries: int
) -> None:
    """Bulk requests would pay again for what single requests computed, or answer differently."""
    tiny = make_tiny_model(tmp_path / "model")
    with HttpServer(tiny.path, redis_url=redis_server.url, cache_entries=entries) as server:
        for cached in ("a great film", LONG):
            miss = server.client.post("/predict", json={"text": cached})
            assert _cache(miss) == "hits=0, misses=1, coalesced=0"
            if not entries:
                wait_until(partial(_is_cached, server, cached))
            texts = ["new one", "new two"]
            texts.insert(position, cached)
            texts = [f"{text} {cached[:3]}" if text.startswith("new") else text for text in texts]
            bulk = server.client.post("/bulk-predict", json={"text": texts})
            assert _cache(bulk) == "hits=1, misses=2, coalesced=0"
            assert bulk.json()["predictions"][position] == miss.json()["prediction"]
            assert bulk.headers["X-Truncated"] == miss.headers["X-Truncated"] == str(int(cached == LONG))


def test_hit_and_miss_are_the_same_bytes(tmp_path: Path, redis_server: RedisServer) -> None:
    """A client that compares answers would see the cache."""
    tiny = make_tiny_model(tmp_path / "model")
    with HttpServer(tiny.path, redis_url=redis_server.url, cache_entries=0) as server:
        miss = server.client.post("/predict", json={"text": TEXTS})
        wait_until(lambda: _is_cached(server, TEXTS[-1]))
        hit = server.client.post("/predict", json={"text": TEXTS})
    assert (_cache(miss), _cache(hit)) == (
        "hits=0, misses=5, coalesced=0",
        "hits=5, misses=0, coalesced=0",
    )
    assert miss.content == hit.content
    assert miss.headers["X-Truncated"] == hit.headers["X-Truncated"] == "1"


def test_another_process_finds_what_one_cached(tmp_path: Path, redis_server: RedisServer) -> None:
    """Each pod would compute everything for itself."""
    tiny = make_tiny_model(tmp_path / "model")
    with HttpServer(tiny.path, redis_url=redis_server.url) as first:
        first.client.post("/predict", json={"text": "a great film"})
    with HttpServer(tiny.path, redis_url=redis_server.url) as second:
        reply = second.client.post("/predict", json={"text": "a great film"})
    assert _cache(reply) == "hits=1, misses=0, coalesced=0"


def test_another_model_version_or_variant_is_a_miss(tmp_path: Path, redis_server: RedisServer) -> None:
    """A new model would give the old one's answers for as long as they are cached."""
    tiny = make_tiny_model(tmp_path / "model", variants={"onnx-fp32": 0.0, "other": 0.0})
    other_version = make_tiny_model(tmp_path / "other", labels=("BAD", "GOOD"))
    ask = {"text": "a great film"}
    with HttpServer(tiny.path, redis_url=redis_server.url, variant="onnx-fp32") as server:
        server.client.post("/predict", json=ask)
    with HttpServer(other_version.path, redis_url=redis_server.url) as server:
        reply = server.client.post("/predict", json=ask)
        assert _cache(reply) == "hits=0, misses=1, coalesced=0"
        assert reply.json()["prediction"][0]["label"] == "GOOD"

    with HttpServer(tiny.path, redis_url=redis_server.url, variant="other") as server:
        reply = server.client.post("/predict", json=ask)
        assert _cache(reply) == "hits=0, misses=1, coalesced=0"
    with HttpServer(tiny.path, redis_url=redis_server.url, variant="onnx-fp32") as server:
        reply = server.client.post("/predict", json=ask)
        assert _cache(reply) == "hits=1, misses=0, coalesced=0"


def test_requests_succeed_while_redis_comes_and_goes(tmp_path: Path, redis_server: RedisServer) -> None:
    """An outage of the cache would be an outage of the service."""
    tiny = make_tiny_model(tmp_path / "model")
    redis_server.stop()
    with HttpServer(tiny.path, redis_url=redis_server.url, cache_entries=0) as server:

        def status() -> str:
            assert server.client.post("/predict", json={"text": "a great film"}).status_code == 200
            assert server.client.get("/health").status_code == 200
            said: str = server.client.get("/health").json()["cache"]
            return said

        wait_until(lambda: status() == "down")
        redis_server.start()
        wait_until(lambda: status() == "ok")
        redis_server.freeze()
        wait_until(lambda: status() == "down")
        redis_server.thaw()
        wait_until(lambda: status() == "ok")


def _is_cached(server: HttpServer, text: str) -> bool:
    reply = server.client.post("/predict", json={"text": text})
    return _cache(reply).startswith("hits=1")
