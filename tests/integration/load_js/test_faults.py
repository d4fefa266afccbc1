"""What load.js calls a failure: a stand-in for the service answers wrongly, one way at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.k6 import ONE_REQUEST_WARMS, THRESHOLD_CROSSED, run
from tests.support.recording_service import RecordingService, Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _swap(reply: Reply) -> None:
    for prediction in reply.predictions:
        prediction.reverse()


def _drop_label(reply: Reply) -> None:
    for prediction in reply.predictions:
        prediction.pop()


def _rename_label(reply: Reply) -> None:
    reply.predictions[0][0]["label"] = "LABEL_1"


def _drop_prediction(reply: Reply) -> None:
    reply.predictions.pop()


def _lower_score(reply: Reply) -> None:
    reply.predictions[0][0]["score"] -= 0.002


def _quote_score(reply: Reply) -> None:
    reply.predictions[0][0]["score"] = str(reply.predictions[0][0]["score"])


def _fail(reply: Reply) -> None:
    reply.status = 500


def _say_nothing_about_the_cache(reply: Reply) -> None:
    reply.headers.clear()


def _hit_everything(reply: Reply) -> None:
    reply.headers["X-Cache"] = f"hits={len(reply.predictions)}, misses=0, coalesced=0"


def _cache_nothing(reply: Reply) -> None:
    reply.headers["X-Cache"] = f"hits=0, misses={len(reply.predictions)}, coalesced=0"


def _coalesce(reply: Reply) -> None:
    reply.headers["X-Cache"] = f"hits=0, misses=0, coalesced={len(reply.predictions)}"


def _sleep(_: Reply) -> None:
    time.sleep(2.1)


@pytest.mark.parametrize(
    ("spoil", "crossed"),
    [
        (_swap, {"checks", "wrong_answers"}),
        (_drop_label, {"checks", "wrong_answers"}),
        (_rename_label, {"checks", "wrong_answers"}),
        (_drop_prediction, {"checks", "wrong_answers"}),
        (_lower_score, {"checks", "wrong_answers"}),
        (_quote_score, {"checks", "wrong_answers"}),
        (_fail, {"checks", "http_req_failed", "cached_texts"}),
        (_say_nothing_about_the_cache, {"checks", "wrong_answers", "cached_texts"}),
        (_hit_everything, {"checks", "wrong_answers"}),
        (_cache_nothing, {"cached_texts"}),
        (_coalesce, {"cached_texts"}),
    ],
)
def test_a_faulty_service_crosses_the_right_thresholds(
    spoil: Callable[[Reply], None], crossed: set[str], tmp_path: Path
) -> None:
    """If it fails, the load test is green whatever the service answers, or blames something else."""
    with RecordingService(spoil) as service:
        # A tenth is new, so that a hit claimed for each of these is well over a hundredth of the checks.
        done = run(tmp_path, {**ONE_REQUEST_WARMS, "BASE_URL": service.root, "CACHE_RATE": "0.9"})
    assert done.status == THRESHOLD_CROSSED
    assert done.crossed == crossed
    assert "✗" in done.stdout


def test_one_wrong_answer_is_enough(tmp_path: Path) -> None:
    """If it fails, a service that is wrong now and then passes among thousands of right answers."""
    spoilt: list[Reply] = []

    def once(reply: Reply) -> None:
        if not spoilt:
            spoilt.append(reply)
            _swap(reply)

    with RecordingService(once) as service:
        done = run(tmp_path, {**ONE_REQUEST_WARMS, "BASE_URL": service.root})
    assert done.crossed == {"wrong_answers"}
    assert done.values("wrong_answers")["count"] == 1


def test_a_slow_service_crosses_the_latency_threshold(tmp_path: Path) -> None:
    """If it fails, a service that takes seconds passes as long as it answers."""
    with RecordingService(_sleep) as service:
        variables = {**ONE_REQUEST_WARMS, "BASE_URL": service.root, "USERS": "40", "HOLD": "3s"}
        done = run(tmp_path, {**variables, "CACHE_RATE": "1"})
    assert done.status == THRESHOLD_CROSSED
    assert "http_req_duration" in done.crossed
    assert done.crossed <= {"http_req_duration", "http_reqs"}
