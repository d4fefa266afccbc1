"""What the service promises its clients, over real HTTP."""

from __future__ import annotations

import math
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from mlapi.api.problems import DEADLINE_EXCEEDED, DRAINING, INTERNAL, NO_SUCH_ROUTE, OVERLOADED, STARTING
from mlapi.api.schemas import Health, ManyPredictions, SinglePrediction
from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.factory import load_classifier
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.errors import ModelError
from mlapi.models.manifest import read_manifest
from mlapi.server import EXIT_OK, EXIT_UNFIT
from tests.support.fakes import INFO, PATIENCE_S
from tests.support.http_server import HOST, HttpServer, assert_problem, raw_exchange, samples, wait_until
from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import httpx
    import numpy as np
    from numpy.typing import NDArray

LONG = "the plot " * 40
"""More than the 32 tokens of the tiny model."""


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[HttpServer]:
    """A running service with the tiny model."""
    with HttpServer(tiny_model) as running:
        yield running


@pytest.fixture
def engine() -> FakeEngine:
    """The engine behind `gated`, to hold up and to let go."""
    return FakeEngine()


def _classifier(engine: FakeEngine) -> Classifier:
    return Classifier(INFO, TokenReader(FakeTokenizer(), engine))


class _DyingEngine(FakeEngine):
    """An engine whose first call takes its thread along."""

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        super().infer(batch)
        raise SystemExit


def _ranking(prediction: list[dict[str, Any]]) -> list[str]:
    scores = [entry["score"] for entry in prediction]
    assert scores == sorted(scores, reverse=True)
    assert math.isclose(sum(scores), 1, abs_tol=1e-5)
    return [entry["label"] for entry in prediction]


# Predictions.


def test_one_text(server: HttpServer) -> None:
    """If it fails, the simplest request there is gets a wrong or malformed answer."""
    response = server.client.post("/predict", json={"text": "a lovely film"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["prediction"]
    assert _ranking(response.json()["prediction"]) == ["POSITIVE", "NEGATIVE"]


@pytest.mark.parametrize("route", ["/predict", "/bulk-predict"])
def test_several_texts_keep_their_order(server: HttpServer, route: str) -> None:
    """If it fails, answers are attached to the wrong texts."""
    texts = ["a great film", "terrible and dull", "it was awful " * 5, "i love this", "a great film"]
    response = server.client.post(route, json={"text": texts})
    assert list(response.json()) == ["predictions"]
    first = [_ranking(prediction)[0] for prediction in response.json()["predictions"]]
    assert first == ["POSITIVE", "NEGATIVE", "NEGATIVE", "POSITIVE", "POSITIVE"]


def test_bulk_of_thousands_equals_single_requests(server: HttpServer) -> None:
    """If it fails, windows and sorting by length mix up or lose texts of a large request."""
    words = ("good", "bad", "the film", "was", "music", "hate")
    texts = [" ".join(words[(n * step) % 6] for step in range(1 + n % 20)) + f" {n}" for n in range(3_000)]
    many = server.client.post("/bulk-predict", json={"text": texts}).json()["predictions"]
    assert len(many) == len(texts)
    for number in range(0, 3_000, 251):
        one = server.client.post("/predict", json={"text": texts[number]}).json()["prediction"]
        assert one == many[number]


@pytest.mark.parametrize("route", ["/predict", "/bulk-predict"])
def test_no_texts(server: HttpServer, route: str) -> None:
    """If it fails, an empty list is an error instead of an empty answer."""
    response = server.client.post(route, json={"text": []})
    assert (response.status_code, response.json()) == (200, {"predictions": []})


def test_bulk_takes_no_single_text(server: HttpServer) -> None:
    """If it fails, bulk-predict answers a single text in a shape that it does not document."""
    assert server.client.post("/bulk-predict", json={"text": "one"}).status_code == 422


def test_labels_are_the_models_own(tmp_path: Path) -> None:
    """If it fails, labels are hard-coded, or a model with another number of labels is not served whole."""
    tiny = make_tiny_model(tmp_path / "three", labels=("bad", "so-so", 'g"ööd'))
    with HttpServer(tiny.path) as server:
        response = server.client.post("/predict", json={"text": ["lovely", "awful", "it is"]})
        rankings = [_ranking(prediction) for prediction in response.json()["predictions"]]
        assert rankings[0][0] == 'g"ööd'
        assert rankings[1][0] == "bad"
        assert all(sorted(ranking) == sorted(tiny.labels) for ranking in rankings)


def test_scores_are_the_models_own(server: HttpServer, tiny_model: Path) -> None:
    """If it fails, something between engine and wire changes the scores."""
    classifier = load_classifier(tiny_model, threads=1)
    for text in ("a great film", "", "déjà vu 🎉", LONG):
        expected = classifier.classify(classifier.encode([text]))[0]
        answered = server.client.post("/predict", json={"text": text}).json()["prediction"]
        scores = {entry["label"]: entry["score"] for entry in answered}
        assert [scores["NEGATIVE"], scores["POSITIVE"]] == pytest.approx(expected, abs=1e-6)
    classifier.close()


@pytest.mark.parametrize("text", ["", " ", "\n\t", "a\u0000b", "\U0001d518", "\u202eabc", "🙂" * 100])
def test_any_unicode_is_scored(server: HttpServer, text: str) -> None:
    """If it fails, blank, odd or foreign texts are refused or crash the tokeniser."""
    response = server.client.post("/predict", json={"text": text})
    assert response.status_code == 200
    _ranking(response.json()["prediction"])


def test_a_missing_content_type_is_json(server: HttpServer) -> None:
    """If it fails, load generators that send no Content-Type are refused."""
    request = server.client.build_request("POST", "/predict", content=b'{"text": "a film"}')
    assert "content-type" not in request.headers
    assert server.client.send(request).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON; charset="utf-8"',
        "application/json; charset=us-ascii",
        "application/vnd.api+json",
    ],
)
def test_spellings_of_json(server: HttpServer, content_type: str) -> None:
    """If it fails, an honest JSON client is refused for how it spells its media type."""
    response = server.client.post(
        "/predict", content=b'{"text": "a film"}', headers={"Content-Type": content_type}
    )
    assert response.status_code == 200


# Headers.


def test_headers_of_an_answer(server: HttpServer, tiny_model: Path) -> None:
    """If it fails, clients cannot tell which model answered, from where, or where the time went."""
    text = "headers of an answer"
    miss = server.client.post("/predict", json={"text": [text, text]})
    assert miss.headers["x-model-version"] == read_manifest(tiny_model).version
    assert miss.headers["x-cache"] == "hits=0, misses=1, coalesced=1"
    assert miss.headers["x-truncated"] == "0"
    number = r"dur=\d+\.\d\d"
    assert re.fullmatch(
        rf"cache;{number}, tokenize;{number}, queue;{number}, infer;{number}", miss.headers["server-timing"]
    )
    hit = server.client.post("/predict", json={"text": [text, text]})
    assert hit.headers["x-cache"] == "hits=2, misses=0, coalesced=0"
    assert hit.content == miss.content
    assert hit.headers["x-request-id"] != miss.headers["x-request-id"]


@pytest.mark.parametrize("route", ["/predict", "/bulk-predict"])
def test_truncation_is_counted_alike_for_hit_and_miss(server: HttpServer, route: str) -> None:
    """If it fails, a cached answer hides that its text was cut off."""
    texts = [f"{route} {LONG}", "short", f"{route} {LONG}"]
    miss = server.client.post(route, json={"text": texts})
    hit = server.client.post(route, json={"text": texts})
    assert "misses=0" in hit.headers["x-cache"]
    assert miss.headers["x-truncated"] == hit.headers["x-truncated"] == "2"
    assert miss.content == hit.content


@pytest.mark.parametrize("sane", ["a", "0" * 64, "3f0c-77_x.Y"])
@pytest.mark.parametrize("path", ["/predict", "/nowhere", "/health"])
def test_a_sane_request_id_is_kept(server: HttpServer, path: str, sane: str) -> None:
    """If it fails, a request cannot be followed through the logs by the id its client gave it."""
    response = server.client.get(path, headers={"X-Request-ID": sane})
    assert response.headers.get_list("x-request-id") == [sane]


@pytest.mark.parametrize(
    "insane", [b"", b"0" * 65, b"a b", b"a;b", b"<script>", "zoë".encode(), b"\xff\xfe", b'{"a":1}', b"a\tb"]
)
def test_an_insane_request_id_is_replaced(server: HttpServer, insane: bytes) -> None:
    """If it fails, a client can write what it likes into logs and response headers."""
    response = server.client.get("/nowhere", headers=[(b"x-request-id", insane)])
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])
    assert_problem(response, NO_SUCH_ROUTE)


def test_a_request_id_cannot_split_the_response(server: HttpServer) -> None:
    """If it fails, line breaks in a request header become headers of the response."""
    request = (
        b"GET /project/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: a\n evil: b\r\n\r\n"
    )
    head = raw_exchange(server.port, request).partition(b"\r\n\r\n")[0].lower()
    assert b"evil" not in head


def test_no_server_header(server: HttpServer) -> None:
    """If it fails, the service tells everyone which software in which version it runs."""
    assert "server" not in server.client.get("/health").headers


# Health.


def test_health_of_a_ready_service(server: HttpServer, tiny_model: Path) -> None:
    """If it fails, a probe or an operator cannot see what is served."""
    response = server.client.get("/health")
    health = Health.model_validate_json(response.content)
    manifest = read_manifest(tiny_model)
    assert response.status_code == 200
    assert (health.status, health.engine, health.cache) == ("healthy", "onnx", "ok")
    assert health.model is not None
    assert (health.model.name, health.model.version) == (manifest.name, manifest.version)
    assert (health.model.precision, health.model.reason) == ("fp32", "the only variant")
    assert health.model.labels == ["NEGATIVE", "POSITIVE"]
    time = datetime.fromisoformat(health.time)
    assert time.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - time) < timedelta(seconds=PATIENCE_S)


def test_starting(tiny_model: Path) -> None:
    """If it fails, traffic is sent to a process without its model, or the process is killed for it."""
    may_load = threading.Event()

    def load() -> Classifier:
        may_load.wait(PATIENCE_S)
        return load_classifier(tiny_model, threads=1)

    with HttpServer(classifier=load, wait=False) as server:
        health = _first_answer(server)
        assert health.status_code == 503
        assert health.json()["status"] == "starting"
        assert health.json()["model"] is None
        assert server.client.get("/health/live").status_code == 200
        for route in ("/predict", "/bulk-predict"):
            refused = server.client.post(route, json={"text": ["a film"]})
            assert_problem(refused, STARTING)
            assert refused.headers["retry-after"] == "1"
        may_load.set()
        wait_until(lambda: server.client.get("/health").status_code == 200)
        assert server.client.post("/predict", json={"text": "a film"}).status_code == 200


def test_stopped_while_starting() -> None:
    """If it fails, a process that is told to stop while it loads does not end, or ends as a failure."""
    may_load = threading.Event()

    def load() -> Classifier:
        may_load.wait(PATIENCE_S)
        return _classifier(FakeEngine())

    with HttpServer(classifier=load, wait=False) as server:
        _first_answer(server)
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.server.should_exit)
        may_load.set()
        assert server.join() == EXIT_OK


@pytest.mark.parametrize("error", [ModelError("no such thing as a model"), RuntimeError("a marked secret")])
def test_a_model_that_cannot_be_loaded(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, a process without a model stays up and refuses everything, for ever."""

    def load() -> NoReturn:
        raise error

    with HttpServer(classifier=load, wait=False) as server:
        assert server.join() == EXIT_UNFIT
    assert [record.levelname for record in caplog.records if record.name == "mlapi.parts"] == ["ERROR"]


def test_draining(engine: FakeEngine) -> None:
    """If it fails, a rollout loses requests: those under way, or those sent before everyone noticed."""
    with HttpServer(classifier=_classifier(engine), drain_grace_s=60) as server, ThreadPoolExecutor() as pool:
        engine.gate.clear()
        under_way = pool.submit(server.client.post, "/predict", json={"text": "under way"})
        wait_until(lambda: bool(engine.batches))
        server.signal(signal.SIGTERM)
        wait_until(lambda: server.client.get("/health").status_code == 503)
        assert server.client.get("/health").json()["status"] == "draining"
        assert server.client.get("/health/live").status_code == 200
        engine.gate.set()
        assert under_way.result().status_code == 200
        assert server.client.post("/predict", json={"text": "a late one"}).status_code == 200
        server.signal(signal.SIGTERM)  # the second one cuts the grace short
        assert server.join() == EXIT_OK


def test_the_drain_waits_for_requests_under_way(engine: FakeEngine) -> None:
    """If it fails, closing the listener cuts off requests whose answers were being computed."""
    with HttpServer(classifier=_classifier(engine)) as server, ThreadPoolExecutor() as pool:
        engine.gate.clear()
        under_way = pool.submit(server.client.post, "/bulk-predict", json={"text": ["under", "way"]})
        wait_until(lambda: bool(engine.batches))
        server.signal(signal.SIGTERM)
        wait_until(lambda: not _is_listening(server.port))
        assert not under_way.done()
        engine.gate.set()
        assert under_way.result().status_code == 200
        assert server.join() == EXIT_OK


def test_a_stuck_engine_does_not_stop_the_end(engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    """If it fails, a process whose engine hangs has to be killed, or its last requests get no answer."""
    classifier = _classifier(engine)
    with HttpServer(classifier=classifier, drain_timeout_s=1) as server, ThreadPoolExecutor() as pool:
        engine.gate.clear()
        stuck = pool.submit(server.client.post, "/predict", json={"text": "stuck"})
        wait_until(lambda: bool(engine.batches))
        server.signal(signal.SIGTERM)
        assert server.join() == EXIT_OK
        assert_problem(stuck.result(), DRAINING)
        assert stuck.result().headers["retry-after"] == "1"
        engine.gate.set()
    assert "an engine call is still running" in caplog.text


def test_a_stuck_engine_is_dead_and_a_slow_one_is_not(engine: FakeEngine) -> None:
    """If it fails, a hung process is left running, or a busy one is restarted under its load."""
    classifier = _classifier(engine)
    with HttpServer(classifier=classifier, stuck_after_s=0.3) as server, ThreadPoolExecutor() as pool:
        assert server.client.get("/health/live").json() == {"status": "alive"}
        engine.gate.clear()
        stuck = pool.submit(server.client.post, "/predict", json={"text": "stuck"})
        wait_until(lambda: server.client.get("/health/live").status_code == 503)
        assert server.client.get("/health/live").json() == {"status": "dead"}
        assert server.client.get("/health").status_code == 503
        assert server.client.get("/health").json()["status"] == "stuck"
        engine.gate.set()
        assert stuck.result().status_code == 200
        assert server.client.get("/health/live").json() == {"status": "alive"}
        assert server.client.get("/health").json()["status"] == "healthy"
    slow = FakeEngine()
    with HttpServer(classifier=_classifier(slow)) as server, ThreadPoolExecutor() as pool:
        slow.gate.clear()
        busy = pool.submit(server.client.post, "/predict", json={"text": "slow"})
        wait_until(lambda: bool(slow.batches))
        assert server.client.get("/health/live").status_code == 200
        assert server.client.get("/health").status_code == 200
        slow.gate.set()
        assert busy.result().status_code == 200


def test_a_lost_engine_thread_is_dead() -> None:
    """If it fails, a process that can answer nothing any more is never restarted."""
    with HttpServer(classifier=_classifier(_DyingEngine())) as server:
        assert_problem(server.client.post("/predict", json={"text": "a film"}), INTERNAL)
        wait_until(lambda: server.client.get("/health/live").status_code == 503)
        assert_problem(server.client.post("/predict", json={"text": "another"}), INTERNAL)


# Errors of the core.


def test_a_deadline_that_passes(engine: FakeEngine) -> None:
    """If it fails, a request waits for ever, or its time running out looks like a fault."""
    with HttpServer(classifier=_classifier(engine), predict_timeout_s=0.1) as server:
        engine.gate.clear()
        assert_problem(server.client.post("/predict", json={"text": "late"}), DEADLINE_EXCEEDED)
        engine.gate.set()


def test_a_full_queue_refuses(engine: FakeEngine) -> None:
    """If it fails, clients of an overloaded service are not told to come back later."""
    limits: dict[str, Any] = {"max_queue_texts": 4, "predict_max_texts": 4, "bulk_window": 4}
    with HttpServer(classifier=_classifier(engine), **limits) as server, ThreadPoolExecutor() as pool:
        engine.gate.clear()
        first = pool.submit(server.client.post, "/predict", json={"text": "first"})
        wait_until(lambda: bool(engine.batches))
        waiting = pool.submit(server.client.post, "/predict", json={"text": ["a", "b", "c", "d"]})
        wait_until(lambda: _metric(server, 'mlapi_queue_texts{lane="interactive"}') == 4)
        refused = server.client.post("/predict", json={"text": "one too many"})
        assert_problem(refused, OVERLOADED)
        assert int(refused.headers["retry-after"]) >= 1
        engine.gate.set()
        assert first.result().status_code == waiting.result().status_code == 200


def test_a_failing_engine_says_nothing_more(engine: FakeEngine) -> None:
    """If it fails, the engine's own words, which may quote an input, reach the client."""
    engine.fail_on = {FakeTokenizer.token("cursed")}
    with HttpServer(classifier=_classifier(engine)) as server:
        failed = server.client.post("/predict", json={"text": "cursed"})
        body = assert_problem(failed, INTERNAL)
        assert "fake" not in failed.text
        assert "errors" not in body
        assert server.client.post("/predict", json={"text": "blessed"}).status_code == 200


# Documentation.


def test_the_documentation_needs_no_internet(server: HttpServer) -> None:
    """If it fails, the documentation page is blank wherever other sites cannot be reached."""
    page = server.client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page.text)
    assert len(links) >= 4
    for link in links:
        assert link.startswith("/project/")
        resource = server.client.get(f"{server.root}{link}")
        assert resource.status_code == 200
        assert len(resource.content) > 100


@pytest.mark.parametrize(
    "path", ["/docs/static/nothing.js", "/docs/static/../../../pyproject.toml", "/docs/static/%00", "/docs/"]
)
def test_documentation_files_that_are_not_there(server: HttpServer, path: str) -> None:
    """If it fails, odd paths below the documentation crash or lead out of its folder."""
    request = f"GET /project{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    assert raw_exchange(server.port, request).startswith(b"HTTP/1.1 404 ")


def test_the_description_is_whole(server: HttpServer) -> None:
    """If it fails, generated clients and the documentation page stumble over the description."""
    description = server.client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1.")
    assert set(description["paths"]) == {
        f"/project{path}" for path in ("/predict", "/bulk-predict", "/health", "/health/live")
    }
    for reference in _references(description):
        target: Any = description
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
    operations = [operation for path in description["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["responses"] for operation in operations)
    documented = set(description["paths"]["/project/predict"]["post"]["responses"])
    assert documented == {"200", "400", "413", "415", "422", "500", "503", "504"}


@pytest.mark.parametrize("route", ["/predict", "/bulk-predict"])
def test_documented_examples_run(server: HttpServer, route: str) -> None:
    """If it fails, the first thing a reader tries on the documentation page is refused."""
    description = server.client.get("/openapi.json").json()
    body = description["paths"][f"/project{route}"]["post"]["requestBody"]
    examples = body["content"]["application/json"]["examples"]
    assert examples
    for example in examples.values():
        response = server.client.post(route, json=example["value"])
        assert response.status_code == 200
        form = SinglePrediction if isinstance(example["value"]["text"], str) else ManyPredictions
        form.model_validate_json(response.content)


def test_another_prefix(tiny_model: Path) -> None:
    """If it fails, the second service behind the same gateway has routes of the first."""
    with HttpServer(tiny_model, prefix="/lab") as server:
        assert server.client.post("/predict", json={"text": "a film"}).status_code == 200
        assert "/lab/docs/static/" in server.client.get("/docs").text
        assert set(server.client.get("/openapi.json").json()["paths"]) > {"/lab/predict", "/lab/health"}
        body = assert_problem(server.client.get(f"{server.root}/project/health"), NO_SUCH_ROUTE)
        assert "/lab/docs" in body["detail"]


# Metrics.


def test_metrics_are_labelled_by_route(server: HttpServer) -> None:
    """If it fails, anyone can fill the monitoring with series by asking for paths that do not exist."""
    metrics = server.client.get(f"{server.root}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert_problem(server.client.get("/metrics"), NO_SUCH_ROUTE)
    server.client.get("/no/such/route")
    server.client.post("/predict", json={"text": "a film"})
    before = samples(server.client.get(f"{server.root}/metrics").text)
    for number in range(20):
        server.client.get(f"/nothing/{number}?query={number}")
        server.client.get(f"/docs/static/{number}.css")
    server.client.post("/predict?question=1", json={"text": "a film"})
    after = samples(server.client.get(f"{server.root}/metrics").text)
    new = {name for name in set(after) - set(before) if "/docs/static" not in name}
    assert new == set()
    handlers = {found[1] for name in after if (found := re.search(r'handler="([^"]*)"', name))}
    assert handlers <= {
        "none",
        "/project/predict",
        "/project/bulk-predict",
        "/project/health",
        "/project/health/live",
        "/project/docs",
        "/project/docs/static",
        "/project/openapi.json",
    }
    counter = 'http_requests_total{handler="/project/predict",method="POST",status="200"}'
    assert after[counter] == before[counter] + 1


def test_metrics_count_texts_by_source(tiny_model: Path) -> None:
    """If it fails, cache hits, engine work and truncation cannot be told from the metrics."""
    with HttpServer(tiny_model) as server:
        texts = ["one", "two", "two", LONG]
        for _ in range(2):
            assert server.client.post("/predict", json={"text": texts}).status_code == 200
        assert _metric(server, 'mlapi_texts_total{source="engine"}') == 3
        assert _metric(server, 'mlapi_texts_total{source="coalesced"}') == 1
        assert _metric(server, 'mlapi_texts_total{source="cache"}') == 4
        assert _metric(server, "mlapi_truncated_texts_total") == 2
        assert _metric(server, "mlapi_batch_texts_sum") == 3


def _metric(server: HttpServer, name: str) -> float | None:
    return samples(server.client.get(f"{server.root}/metrics").text).get(name)


def _first_answer(server: HttpServer) -> httpx.Response:
    """Return what readiness says as soon as somebody listens."""
    wait_until(lambda: _is_listening(server.port))
    return server.client.get("/health")


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return False
    return True


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


@pytest.mark.parametrize("path", ["/health", "/health/live"])
def test_probes_may_ask_for_the_head_alone(tiny_model: Path, path: str) -> None:
    """If it fails, monitors that send HEAD take a healthy service for broken."""
    with HttpServer(tiny_model) as server:
        response = server.client.head(path)
    assert (response.status_code, response.content) == (200, b"")
