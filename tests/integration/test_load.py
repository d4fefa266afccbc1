"""Many clients at once, over real HTTP: coalescing, batching, fairness, cancellation, order."""

from __future__ import annotations

import json
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pytest

from mlapi.classifier import Classifier, TokenReader
from mlapi.engines.fake import FakeEngine, FakeTokenizer
from mlapi.types import Encoding, Lane
from tests.support.fakes import INFO
from tests.support.http_server import HOST, HttpServer, samples, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


class FakeService:
    """A running server with a fake engine in reach."""

    def __init__(self, **settings: Any) -> None:
        self.engine = FakeEngine()
        self.tokenizer = FakeTokenizer()
        classifier = Classifier(INFO, TokenReader(self.tokenizer, self.engine))
        self.server = HttpServer(classifier=classifier, **settings)

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.gate.set()
        self.server.__exit__(None, None, None)

    @property
    def client(self) -> httpx.Client:
        return self.server.client

    def predict(self, text: str | list[str]) -> httpx.Response:
        return self.client.post("/predict", json={"text": text})

    def bulk(self, texts: list[str]) -> httpx.Response:
        return self.client.post("/bulk-predict", json={"text": texts})

    def waiting(self) -> int:
        predictor = self.server.app.state.serving.predictor
        waiting: int = predictor._batcher.waiting
        return waiting

    def ids(self, text: str) -> tuple[int, ...]:
        payload = self.tokenizer.encode([text])[0].payload
        assert isinstance(payload, list)
        return tuple(payload)

    def places(self, text: str) -> list[int]:
        """In which engine calls the text was."""
        ids = self.ids(text)
        return [place for place, batch in enumerate(self.engine.batches) if ids in batch]


@pytest.fixture
def service() -> Iterator[FakeService]:
    """A server with a fake engine."""
    with FakeService() as running:
        yield running


def test_two_requests_for_one_new_text_reach_the_engine_once(service: FakeService) -> None:
    """A popular new text would be computed once per client."""
    service.engine.gate.clear()
    with ThreadPoolExecutor(2) as clients:
        replies = [clients.submit(service.predict, "the same new text") for _ in range(2)]
        wait_until(lambda: len(service.engine.batches) == 1)
        wait_until(lambda: _tickets(service) == 2)
        service.engine.gate.set()
        bodies = [reply.result().content for reply in replies]
        caches = sorted(reply.result().headers["X-Cache"] for reply in replies)
    assert bodies[0] == bodies[1]
    assert service.places("the same new text") == [0]
    assert caches == ["hits=0, misses=0, coalesced=1", "hits=0, misses=1, coalesced=0"]


def test_32_clients_with_distinct_texts_share_batches(service: FakeService) -> None:
    """Every client would pay for an engine call of its own under load."""
    service.engine._seconds = 0.01
    with ThreadPoolExecutor(32) as clients:
        replies = list(clients.map(service.predict, [f"text number {n}" for n in range(320)]))
    assert {reply.status_code for reply in replies} == {200}
    sizes = [len(batch) for batch in service.engine.batches]
    assert sum(sizes) == 320
    assert len(sizes) < 160
    metrics = samples(service.client.get(f"{service.server.root}/metrics").text)
    assert metrics["mlapi_batch_texts_count"] == len(sizes)
    assert metrics["mlapi_batch_texts_sum"] == 320
    assert metrics['mlapi_texts_total{source="engine"}'] == 320


def test_order_is_kept_for_5000_texts_with_repetitions(service: FakeService) -> None:
    """Clients would file answers under the wrong texts."""
    rng = random.Random(5)
    texts = [" ".join(f"w{rng.randrange(900)}" for _ in range(rng.randrange(40))) for _ in range(4000)]
    texts += [rng.choice(texts) for _ in range(1000)]
    rng.shuffle(texts)
    reply = service.bulk(texts)
    assert reply.status_code == 200
    predictions = reply.json()["predictions"]
    assert len(predictions) == 5000
    by_text = dict(zip(texts, predictions, strict=True))
    assert all(by_text[text] == prediction for text, prediction in zip(texts, predictions, strict=True))
    assert service.engine.batches
    for text in rng.sample(texts, 50):
        (logits,) = FakeEngine().infer([service.ids(text)])
        assert by_text[text][0]["label"] == INFO.labels[int(logits.argmax())]


def test_a_single_text_waits_for_two_batches_at_most_behind_5000(service: FakeService) -> None:
    """Interactive clients would wait for somebody's bulk job."""
    service.engine._seconds = 0.02
    with ThreadPoolExecutor(1) as clients:
        bulk = clients.submit(service.bulk, [f"bulk text {n}" for n in range(5000)])
        for number in range(5):
            seen = len(service.engine.batches)
            wait_until(partial(_more_batches_than, service, seen + 1))
            started = len(service.engine.batches)
            text = f"single {number}"
            assert service.predict(text).status_code == 200
            # When it was sent, call number `started - 1` was running; two more may have begun while it was
            # parsed and tokenised, and one of the other lane is allowed after it was queued.
            (place,) = service.places(text)
            assert place - (started - 1) <= 4
            assert not bulk.done()
        assert bulk.result().status_code == 200


def test_a_long_list_stands_in_the_bulk_lane_on_either_route() -> None:
    """One `predict` request with a list of long texts would hold up every single text."""
    with FakeService(max_batch_texts=4) as service, ThreadPoolExecutor(2) as clients:
        service.engine.gate.clear()
        listed = clients.submit(service.predict, [f"item {n}" for n in range(200)])
        wait_until(lambda: service.waiting() == 200)
        single = clients.submit(service.predict, "single")
        wait_until(lambda: service.waiting() == 201)
        service.engine.gate.set()
        assert single.result().status_code == 200
        assert listed.result().status_code == 200
        assert service.places("single")[0] <= 2


def test_a_client_killed_mid_request_leaves_nothing_in_the_queue(service: FakeService) -> None:
    """Clients that time out and retry would fill the queue with work for nobody."""
    service.engine.gate.clear()
    with ThreadPoolExecutor(1) as clients:
        busy = clients.submit(service.predict, "keeps the engine busy")
        wait_until(lambda: len(service.engine.batches) == 1)
        body = json.dumps({"text": [f"doomed {n}" for n in range(3000)]}).encode()
        head = (
            f"POST /project/bulk-predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((HOST, service.server.port)) as doomed:
            doomed.sendall(head.encode() + body)
            wait_until(lambda: service.waiting() > 1000)
        wait_until(lambda: service.waiting() == 1)
        service.engine.gate.set()
        assert busy.result().status_code == 200
    assert sum(len(batch) for batch in service.engine.batches) == 1
    metrics = samples(service.client.get(f"{service.server.root}/metrics").text)
    assert metrics[f'mlapi_queue_texts{{lane="{Lane.BULK.value}"}}'] == 0
    assert metrics['http_requests_total{handler="/project/bulk-predict",method="POST",status="499"}'] == 1


def test_overload_is_refused_at_once_with_advice() -> None:
    """Clients would queue without end and all time out."""
    with FakeService(max_queue_texts=16, predict_max_texts=16, bulk_window=16) as service:
        service.engine.gate.clear()
        with ThreadPoolExecutor(2) as clients:
            busy = clients.submit(service.predict, "keeps the engine busy")
            wait_until(lambda: len(service.engine.batches) == 1)
            full = clients.submit(service.predict, [f"fills the queue {n}" for n in range(16)])
            wait_until(lambda: service.waiting() == 17)
            refused = service.predict("one too many")
            assert refused.status_code == 503
            assert refused.json()["type"] == "urn:mlapi:problem:overloaded"
            assert int(refused.headers["Retry-After"]) >= 1
            service.engine.gate.set()
            assert {busy.result().status_code, full.result().status_code} == {200}
        assert service.predict("one too many").status_code == 200


def test_a_deadline_is_a_504_and_costs_the_engine_nothing() -> None:
    """Clients would hang on a slow engine, which would then work on answers for nobody."""
    with FakeService(predict_timeout_s=0.2) as service:
        service.engine.gate.clear()
        with ThreadPoolExecutor(1) as clients:
            busy = clients.submit(service.bulk, ["keeps the engine busy"])
            wait_until(lambda: len(service.engine.batches) == 1)
            late = service.predict("late")
            assert late.status_code == 504
            assert late.json()["type"] == "urn:mlapi:problem:deadline-exceeded"
            service.engine.gate.set()
            assert busy.result().status_code == 200
        assert service.places("late") == []


def test_a_failing_batch_is_a_500_without_words_and_the_service_goes_on(service: FakeService) -> None:
    """One poisonous text would end the service, or its failure tell strangers about our insides."""
    service.engine.fail_on = {service.tokenizer.token("poison")}
    reply = service.predict("poison")
    assert reply.status_code == 500
    assert reply.json()["request_id"] == reply.headers["X-Request-ID"]
    assert "fake" not in reply.text
    assert service.predict("wholesome").status_code == 200


def test_tokenisation_of_bulk_does_not_hold_up_single_texts() -> None:
    """A window of long texts in the tokenizer would make every single text wait."""
    gate = threading.Event()

    class SlowForMany(FakeTokenizer):
        def encode(self, texts: object) -> list[Encoding]:
            assert isinstance(texts, list)
            if len(texts) > 1:
                gate.wait(10)
            return super().encode(texts)

    classifier = Classifier(INFO, TokenReader(SlowForMany(), FakeEngine()))
    with HttpServer(classifier=classifier) as server, ThreadPoolExecutor(1) as clients:
        texts = [str(number) for number in range(20)]
        bulk = clients.submit(server.client.post, "/bulk-predict", json={"text": texts})
        wait_until(lambda: server.app.state.serving.predictor.in_flight == 20)
        assert server.client.post("/predict", json={"text": "single"}).status_code == 200
        assert not bulk.done()
        gate.set()
        assert bulk.result().status_code == 200


def _more_batches_than(service: FakeService, number: int) -> bool:
    return len(service.engine.batches) > number


def _tickets(service: FakeService) -> int:
    flights = service.server.app.state.serving.predictor._intake._flights
    return sum(len(flight.tickets) for flight in list(flights.values()))
