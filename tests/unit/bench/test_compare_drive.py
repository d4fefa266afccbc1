"""One contestant's turn: what it is sent, and what is kept when it fails."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.compare.contestants import SERVICE, Contestant, gather
from bench.compare.drive import Drive
from bench.compare.material import BULK_TEXTS, FIXED_TEXTS, Material
from bench.compare.points import BULK, DISTINCT, LENGTHS, OPEN, REAL, REPEATS, REPEATS_96, Point, points
from bench.compare.results import Results
from bench.compare.run import compare
from bench.load.generator import LoadError
from bench.load.request import Request
from bench.peers.catalogue import PEERS
from bench.peers.install import Environment, InstallError
from bench.peers.peer import Peer
from bench.peers.server import RunningServer
from tests.support.bench_windows import window
from tests.support.load_server import LoadServer, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.compare.window import Window


class _Ends(Peer):
    """A server that ends before it answers."""

    def command(self, python: Path, model: Path, port: int) -> list[str]:
        return ["sh", "-c", "echo no module named server >&2; exit 3"]


def _request(text: str) -> Request:
    return Request("/predict", json.dumps([text]).encode())


def _bulk(texts: Sequence[str]) -> Request:
    return Request("/bulk", json.dumps(texts).encode(), texts=len(texts))


def _peer(kind: type[Peer] = Peer, *, bulk: bool = False) -> Peer:
    return kind(
        name="fake",
        title="",
        engine="none",
        environment="",
        program="",
        request=_request,
        scores=lambda _: [],
        configuration=(),
        source="",
        bulk=_bulk if bulk else None,
    )


def _drive(server: LoadServer, *, bulk: bool = False, seconds: float = 0.2) -> tuple[Drive, Material]:
    material = Material(1, messages=None, vocabulary=30_522)
    running = RunningServer(os.getpid(), server.port, 1.0, [])
    return Drive(_peer(bulk=bulk), running, material, number=1, seconds=seconds), material


def _texts(server: LoadServer) -> list[str]:
    return [text for body in server.bodies for text in json.loads(body)]


def _measured(
    drive: Drive, every: Sequence[Point], *, failed: Callable[[Point, str], None]
) -> Iterator[Window]:
    for point in every:
        if (found := drive.measure(point, failed=failed)) is not None:
            yield found


def _never(point: Point, error: str) -> None:
    raise AssertionError((point, error))


def test_every_workload_is_sent_as_it_is_described() -> None:
    """If this fails, a column of the table holds another workload than its head says."""
    sent: dict[str, list[str]] = {}
    with LoadServer(delay_s=0.03) as server:
        drive, material = _drive(server, bulk=True)
        drive.warm_up()
        for each in _measured(
            drive, points([DISTINCT, LENGTHS, REAL, REPEATS_96, REPEATS, BULK], quick=True), failed=_never
        ):
            sent[str(each.point)] = _texts(server)
            assert each.failed == 0
            server.bodies.clear()
        assert drive.memory_mb() > 1
    fixed = set(material.fixed())
    assert len(fixed) == FIXED_TEXTS
    for name, texts in sent.items():
        if not name.startswith("repeats"):
            assert len(set(texts)) == len(texts), name
    assert {len(text.split()) + 2 for text in sent["lengths, 128 tokens"]} == {128}
    assert {len(text.split()) + 2 for text in sent["distinct, 32 clients"]} <= set(range(15, 26))
    assert set(sent["repeats, 32 clients"]) <= fixed
    mixed = sent["repeats96, 32 clients"][FIXED_TEXTS:]  # the set itself comes first, so that caches have it
    assert sum(text in fixed for text in mixed) / len(mixed) == pytest.approx(0.96, abs=0.03)
    assert len(sent["bulk"]) == BULK_TEXTS


def test_contestants_get_the_same_texts_and_rounds_new_ones() -> None:
    """If this fails, servers are compared on different texts, or a cache knows a round's texts before it."""
    first, again, second = (Material(number, messages=None, vocabulary=30_522) for number in (1, 1, 2))
    for point in points([DISTINCT, OPEN, LENGTHS, REAL, BULK], quick=True):
        texts = first.texts(point, seconds=0.3)
        assert texts == again.texts(point, seconds=0.3)
        assert not set(texts) & set(second.texts(point, seconds=0.3)) or point.workload in {REAL, BULK}
    assert len(first.texts(Point(OPEN, rate=40), seconds=3.5)) == 140


def test_real_messages_come_in_their_order_and_bulk_takes_others() -> None:
    """If this fails, --texts is not measured as traffic, or the bulk request is answered from the cache."""
    messages = [f"message {number} of some more than {3 * number}" for number in range(3000)]
    material = Material(1, messages=messages, vocabulary=30_522)
    real = material.texts(Point(REAL, clients=32), seconds=0.1)
    bulk = material.texts(Point(BULK), seconds=0)
    assert (len(real), len(bulk)) == (400, 1000)
    assert real == material.texts(Point(REAL, clients=32), seconds=9)[:400]
    assert not set(bulk) & set(material.texts(Point(REAL, clients=32), seconds=9))


def test_a_server_that_cannot_stand_a_rate_is_not_driven_at_a_higher_one() -> None:
    """If this fails, slow servers are driven into minutes of waiting, or refusals pass for answers."""
    told: list[str] = []
    busy: list[Window] = []
    with LoadServer(
        lambda number, _: answer(status=503 if number in {4, 5} else 200), delay_s=0.01
    ) as server:
        drive, _ = _drive(server)
        every = [Point(OPEN, rate=rate) for rate in (10.0, 20.0, 40.0)]
        busy += _measured(
            drive, [*every, Point(DISTINCT, clients=1)], failed=lambda *each: told.append(str(each))
        )
    assert [each.point.rate for each in busy] == [10.0, 20.0, 0.0]
    assert [each.keeps_up for each in busy] == [True, False, True]
    assert not window("fake", every[0], 10, latency_ms=1001).keeps_up
    assert told == []


def test_without_a_bulk_route_texts_are_sent_one_by_one() -> None:
    """If this fails, such servers have no bulk column, or take the bench's whole time for it."""
    with LoadServer(delay_s=0.05) as server:
        drive, _ = _drive(server)
        drive.warm_up()
        (found,) = _measured(drive, [Point(BULK)], failed=_never)
        assert server.most_at_once == 32
    assert found.sent == found.texts == sum(found.histogram.values())
    assert 64 <= found.sent <= BULK_TEXTS


def test_a_point_that_cannot_be_measured_is_told() -> None:
    """If this fails, one missing window ends the round, or is missing without a word."""
    told: list[tuple[str, str]] = []
    with LoadServer(delay_s=0.01) as server:
        material = Material(1, messages=["one message", "and one more"], vocabulary=30_522)
        drive = Drive(
            _peer(), RunningServer(os.getpid(), server.port, 1.0, []), material, number=1, seconds=0.2
        )
        found = list(
            _measured(
                drive,
                [Point(REAL, clients=32), Point(DISTINCT, clients=1)],
                failed=lambda point, error: told.append((str(point), error)),
            )
        )
    assert [each.point.workload for each in found] == [DISTINCT]
    assert told[0][0] == "real, 32 clients"
    assert "ended before the time did" in told[0][1]
    with pytest.raises(LoadError):
        drive.warm_up()


def test_a_server_that_does_not_start_is_reported_and_not_tried_again(tiny_model: Path) -> None:
    """If this fails, one broken peer ends the comparison, costs minutes a round, or is left out silently."""
    results = Results({}, {})
    saved: list[int] = []
    compare(
        [Contestant(_peer(_Ends), Path("python"))],
        model=tiny_model,
        vocabulary=600,
        messages=None,
        points=[Point(DISTINCT, clients=1)],
        rounds=3,
        seconds=0.1,
        results=results,
        save=lambda: saved.append(len(results.failures)),
    )
    (failure,) = results.failures
    assert (failure.contestant, failure.round, failure.where) == ("fake", 1, "start")
    assert "no module named server" in failure.error
    assert "status 3" in failure.error
    assert (saved, results.windows, results.runs) == ([1], [], [])


def test_a_peer_that_cannot_be_installed_leaves_its_error_and_the_others() -> None:
    """If this fails, one missing package ends the comparison, or nobody learns why a peer is not in it."""

    def make(peer: Peer) -> Environment:
        if peer is PEERS["plain"]:
            raise InstallError("no matching distribution")
        return Environment(Path("/there/bin/python"), "fastapi==1\ntorch==2\n")

    found, (failure,) = gather([PEERS["plain"], PEERS["careful"]], python=None, make=make)
    assert [each.name for each in found] == ["mlapi", "careful"]
    assert (failure.contestant, failure.where, failure.error) == (
        "plain",
        "installation",
        "no matching distribution",
    )
    told = found[1].to_json()
    assert told["installed"] == ["fastapi==1", "torch==2"]
    assert "torch" in found[1].libraries
    assert found[1].python == Path("/there/bin/python")


def test_the_service_is_asked_as_its_readme_says() -> None:
    """If this fails, this project's own row holds errors."""
    request = SERVICE.request("a text")
    assert (request.path, json.loads(request.body)) == ("/project/predict", {"text": "a text"})
    assert SERVICE.bulk is not None
    bulk = SERVICE.bulk(["a", "b"])
    assert (bulk.path, bulk.texts, json.loads(bulk.body)) == (
        "/project/bulk-predict",
        2,
        {"text": ["a", "b"]},
    )
    body = b'{"prediction":[{"label":"POSITIVE","score":0.75},{"label":"NEGATIVE","score":0.25}]}'
    assert SERVICE.scores(body) == [("POSITIVE", 0.75), ("NEGATIVE", 0.25)]
    assert SERVICE.command(Path("python"), Path("/models/x"), 80)[1:4] == ["-m", "mlapi", "serve"]
