"""The load generator against a real server that counts, delays and breaks."""

from __future__ import annotations

import itertools
import math
import os
import statistics
import time

import pytest

from bench.load.connection import CLOSED, GARBLED, REFUSED, TIMED_OUT
from bench.load.generator import LoadError, closed_loop, open_loop
from bench.load.open_loop import due_times
from bench.load.request import Request
from tests.support.load_server import LoadServer, answer


def _requests(count: int, *, texts: int = 1) -> list[Request]:
    return [Request("/predict", f'{{"text": "{number}"}}'.encode(), texts) for number in range(count)]


def test_a_closed_loop_sends_each_request_once_and_in_order() -> None:
    """If this fails, distinct texts repeat and a cache answers what an engine should have."""
    with LoadServer() as server:
        load = closed_loop(server.port, _requests(50, texts=3), clients=1, seconds=None)
        assert server.bodies == [request.body for request in _requests(50)]
        assert server.connections == 1
    assert (load.completed, load.texts, load.statuses, load.failed) == (50, 150, {200: 50}, 0)
    assert len(load.latencies_s) == 50
    assert load.requests_per_s == pytest.approx(50 / load.seconds)
    assert 0 < load.client_cpu_s < load.seconds * (os.cpu_count() or 1)


def test_clients_work_side_by_side() -> None:
    """If this fails, 32 clients are one, and every throughput in the tables is that of one client."""
    with LoadServer(delay_s=0.2) as server:
        load = closed_loop(server.port, _requests(64), clients=32, seconds=None)
        assert server.connections == server.most_at_once == 32
    assert load.completed == 64
    assert load.percentile(1) >= 0.2


def test_a_window_counts_what_was_answered_in_it_and_not_the_warm_up() -> None:
    """If this fails, throughput counts requests from outside the window, or the window is too long."""
    with LoadServer(delay_s=0.02) as server:
        load = closed_loop(server.port, _requests(2000), clients=2, seconds=0.5, warmup_s=0.5)
        asked = len(server.bodies)
    assert load.seconds >= 0.5
    assert 0 < load.completed < asked
    assert load.completed <= 2 * (load.seconds / 0.02 + 1)
    assert abs(load.completed - len(load.latencies_s)) <= 2  # under way at the edges, one for each client


def test_throughput_does_not_depend_on_how_many_bunches_fall_into_the_window() -> None:
    """If this fails, a server that answers all its clients at once has a throughput of chance."""
    with LoadServer(delay_s=0.3) as server:
        load = closed_loop(server.port, _requests(500, texts=2), clients=8, seconds=0.5)
    cycle = statistics.fmean(load.latencies_s)  # by Little's law, with no time between requests
    assert load.requests_per_s == pytest.approx(8 / cycle, rel=0.1)
    assert load.texts_per_s == 2 * load.requests_per_s
    assert load.completed in {8, 16}  # which over half a second are other rates


def test_requests_that_end_before_the_time_are_an_error() -> None:
    """If this fails, a window is measured that was idle at its end, or texts were sent twice to fill it."""
    with LoadServer() as server, pytest.raises(LoadError, match="10 requests ended before the time did"):
        closed_loop(server.port, _requests(10), clients=1, seconds=5)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"", CLOSED),
        (answer(b"four", headers="Connection: close\r\n")[:-1], CLOSED),
        (b"SSH-2.0-x\r\n\r\n", GARBLED),
    ],
    ids=["closed", "cut", "garbled"],
)
def test_a_broken_answer_is_an_error_and_the_client_goes_on(reply: bytes, reason: str) -> None:
    """If this fails, a server that breaks connections looks fast, or the load stops at the first."""
    with LoadServer(lambda number, _: reply if number == 3 else answer()) as server:
        load = closed_loop(server.port, _requests(10), clients=1, seconds=None)
        assert server.connections == 2
        assert len(server.bodies) == 10
    assert load.failures == {reason: 1}
    assert (load.errors, load.failed, load.completed, load.statuses) == (1, 1, 9, {200: 9})


def test_an_answer_that_closes_the_connection_is_none() -> None:
    """If this fails, a server without keep-alive cannot be measured."""
    with LoadServer(lambda _, __: answer(headers="Connection: close\r\n")) as server:
        load = closed_loop(server.port, _requests(5), clients=1, seconds=None)
        assert server.connections == 5
    assert (load.completed, load.failures) == (5, {})


def test_answers_that_are_not_200_have_no_latency_and_no_throughput() -> None:
    """If this fails, a server that refuses quickly wins."""
    with LoadServer(lambda number, _: answer(status=503 if number % 2 else 200)) as server:
        load = closed_loop(server.port, _requests(10), clients=1, seconds=None)
    assert (load.completed, len(load.latencies_s), load.statuses) == (5, 5, {200: 5, 503: 5})
    assert (load.failed, load.errors) == (5, 0)


def test_a_silent_server_times_out() -> None:
    """If this fails, one lost answer holds the whole bench up for ever."""
    with LoadServer(delay_s=30) as server:
        load = closed_loop(server.port, _requests(1), clients=1, seconds=None, timeout_s=0.3)
    assert (load.failures, load.completed) == ({TIMED_OUT: 1}, 0)
    assert math.isnan(load.percentile(50))


def test_a_server_that_is_gone_leaves_requests_unsent_and_says_so() -> None:
    """If this fails, a crash in the middle of the load is not seen, or nothing ever ends."""
    with LoadServer() as server:
        port = server.port
    with pytest.raises(LoadError, match=str(port)):
        closed_loop(port, _requests(3), clients=1, seconds=1)
    with pytest.raises(LoadError, match=str(port)):
        open_loop(port, _requests(10), rate=10, seconds=1)


def test_what_the_cache_said_is_summed_up() -> None:
    """If this fails, nobody sees that texts meant to be new were answered from a cache."""
    cached = answer(headers="X-Cache: hits=1, misses=2, coalesced=3\r\n")
    with LoadServer(lambda _, __: cached) as server:
        load = closed_loop(server.port, _requests(4), clients=2, seconds=None)
    assert (load.hits, load.misses, load.coalesced) == (4, 8, 12)


def test_an_open_loop_keeps_its_rate_while_answers_take_long() -> None:
    """If this fails, a slow server is asked less often, and its tail looks as good as a fast one's."""
    with LoadServer(delay_s=0.3) as server:
        load = open_loop(server.port, _requests(100), rate=100, seconds=1)
        assert len(server.bodies) == 100
    assert (load.statuses, load.dropped) == ({200: 100}, 0)
    assert len(load.latencies_s) == 100
    assert load.percentile(50) >= 0.3
    assert load.seconds >= 1.0
    assert load.completed < 100  # the last ones were answered after the window


def test_an_open_loop_drops_what_finds_no_connection() -> None:
    """If this fails, requests that were never sent are missing from the report."""
    with LoadServer(delay_s=0.5) as server:
        load = open_loop(server.port, _requests(100), rate=100, seconds=1, connections=5)
        assert server.connections == 5
    assert load.dropped + load.statuses[200] == 100
    assert load.dropped > 50
    assert load.failed == load.dropped


def test_latency_counts_from_the_due_time() -> None:
    """If this fails, time that a request waits in the generator is left out (coordinated omission)."""

    def stall(number: int, _: bytes) -> bytes:
        if number == 5:
            time.sleep(0.5)  # the whole server stands still, and no connection can be accepted
        return answer()

    with LoadServer(stall) as server:
        load = open_loop(server.port, _requests(100), rate=100, seconds=1)
    assert sum(latency > 0.1 for latency in load.latencies_s) > 20
    assert load.percentile(100) >= 0.45
    assert statistics.median(load.lateness_s) < 0.1  # the generator itself was not late


def test_requests_that_a_server_does_not_accept_are_counted() -> None:
    """If this fails, requests to a server that went away in the middle are forgotten in place of counted."""
    with LoadServer(lambda _, __: answer(headers="Connection: close\r\n"), connections=10) as server:
        load = open_loop(server.port, _requests(40), rate=40, seconds=1)
        assert len(server.bodies) == 10
    assert load.failures == {REFUSED: 30}
    assert (load.completed, load.failed) == (10, 30)


def test_too_few_requests_for_the_rate_are_an_error() -> None:
    """If this fails, an open loop ends early and reports the rate that was asked for."""
    with pytest.raises(LoadError, match="20 requests are needed"):
        open_loop(1, _requests(19), rate=10, seconds=2)
    with pytest.raises(ValueError, match="1 to 512"):
        open_loop(1, _requests(20), rate=10, seconds=2, connections=1000)


def test_arrivals_are_as_many_as_said_and_in_order() -> None:
    """If this fails, the offered rate in the plots is not what was offered."""
    assert due_times(4, 2.0, arrivals="even", seed=1) == [0.0, 0.5, 1.0, 1.5]
    due = due_times(1000, 10.0, arrivals="poisson", seed=1)
    assert len(due) == 1000
    assert due == sorted(due) == due_times(1000, 10.0, arrivals="poisson", seed=1)
    assert 0 <= due[0] < due[-1] <= 10
    gaps = [after - before for before, after in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.15)  # of an exponential distribution they are equal


def test_the_servers_cpu_time_is_that_of_the_window() -> None:
    """If this fails, server CPU seconds per request are those of something else."""

    def work(_: int, __: bytes) -> bytes:
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
        return answer()

    with LoadServer(work) as server:
        load = closed_loop(server.port, _requests(1000), clients=1, seconds=1, warmup_s=0.3, pid=os.getpid())
    assert load.server_cpu_s is not None
    assert load.server_cpu_s >= 0.01 * (load.completed - 2)
    assert load.server_cpu_s < 2 * load.seconds  # one thread works, and the generator is another process
