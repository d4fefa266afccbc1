"""What load.js sends, and what it counts, on a real k6."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING

import pytest

from tests.support.http_server import REPOSITORY, ServerProcess, samples
from tests.support.k6 import ONE_REQUEST_WARMS, SCRIPT_EXCEPTION, find_k6, run
from tests.support.recording_service import RecordingService, Reply

if TYPE_CHECKING:
    from pathlib import Path


def test_namespace_and_domain_give_an_address(tmp_path: Path) -> None:
    """If it fails, the deployed service cannot be named as it is named elsewhere."""
    done = run(tmp_path, {"NAMESPACE": "reviews", "DOMAIN": "example.invalid", "PREFIX": "/lab"})
    assert done.status == SCRIPT_EXCEPTION
    assert "https://reviews.example.invalid/lab/health did not answer" in done.stderr
    assert "Nothing was measured" in done.stdout


def test_the_service_passes_and_agrees_about_its_hits(tmp_path: Path) -> None:
    """If it fails, the service misses its own aims, or the script counts other hits than there were."""
    find_k6()  # skips, where there is none, before the service is started
    with ServerProcess(REPOSITORY / "models" / "starter") as server:
        variables = {"BASE_URL": server.root, "HOLD": "3s", "USERS": "4"}
        first = run(tmp_path, variables)
        texts = _texts(server)
        second = run(tmp_path, variables)
    for done in (first, second):
        assert done.status == 0, done.stdout + done.stderr
        assert done.crossed == set()
        assert "✗" not in done.stdout
        # A run that ends has a text or two owing; a text that came a second time would be a hit too many.
        assert done.values("cached_texts")["rate"] == pytest.approx(0.96, abs=0.004)
    warmed = first.summary["settings"]["repeatedTexts"]
    assert texts["cache"] == first.values("cached_texts")["passes"]
    assert texts["engine"] + texts["coalesced"] == first.values("cached_texts")["fails"] + warmed


def _texts(server: ServerProcess) -> dict[str, float]:
    found = samples(server.client.get(f"{server.root}/metrics").text)
    return {name: found[f'mlapi_texts_total{{source="{name}"}}'] for name in ("cache", "engine", "coalesced")}


def test_new_texts_are_new_in_every_run_and_look_like_messages(tmp_path: Path) -> None:
    """If it fails, the cache answers texts that were meant for the engine, or texts are of odd lengths."""
    variables = {"CACHE_RATE": "0.5", "BULK_SHARE": "0.2", "BULK_SIZE": "10", "REPEATED_TEXTS": "300"}
    with RecordingService() as service:
        for _ in range(2):
            done = run(tmp_path, {**variables, "BASE_URL": service.root})
            assert done.status == 0, done.stdout + done.stderr
            assert done.values("cached_texts")["rate"] == pytest.approx(0.5, abs=0.02)
    sizes = [len(texts) for _, texts in service.requests]
    fixed = [text for _, texts in service.requests[:3] for text in texts]
    assert sizes[:3] == [100, 100, 100]
    assert len(set(fixed)) == 300
    sent = [text for _, texts in service.requests for text in texts]
    new = [text for text in sent if text not in set(fixed)]
    assert len(new) == len(set(new)) > 300
    assert {route for route, _ in service.requests} == {"predict", "bulk-predict"}
    assert {len(texts) for route, texts in service.requests if route == "predict"} == {1}
    assert sizes.count(10) / (len(sizes) - 6) == pytest.approx(0.2, abs=0.03)
    for kind in (fixed, new):
        words = [len(text.split()) for text in kind]
        assert 17 <= statistics.median(words) <= 21
        assert 7 <= statistics.stdev(words) <= 9
        assert min(words) >= 6
        assert max(words) <= 50
        assert 80 <= statistics.median(len(text) for text in kind) <= 130
    # No two begin alike: a prefix must not give away what comes.
    assert len({tuple(text.split()[:4]) for text in new}) > 0.99 * len(new)


def test_seed_and_words_choose_the_texts(tmp_path: Path) -> None:
    """If it fails, runs cannot be told apart, or another vocabulary gets texts that it cannot read."""
    (tmp_path / "words").write_text(" ".join(f"w{number}" for number in range(300)), encoding="utf-8")
    changes: tuple[dict[str, str], ...] = ({}, {"SEED": "2"}, {"WORDS": str(tmp_path / "words")})
    fixed: list[list[str]] = []
    with RecordingService() as service:
        for change in changes:
            before = len(service.requests)
            variables = {**ONE_REQUEST_WARMS, "HOLD": "200ms", "BASE_URL": service.root, **change}
            assert run(tmp_path, variables).summary["metrics"]["iterations"]
            fixed.append(service.requests[before][1])
    english, other, numbered = fixed
    assert set(english).isdisjoint(other)
    assert all(re.fullmatch(r"(w\d+ )+w\d+\.( (w\d+ )*w\d+\.)?", text) for text in numbered)


def test_a_pause_slows_each_user(tmp_path: Path) -> None:
    """If it fails, users without think time are all that can be simulated."""
    with RecordingService() as service:
        variables = {"USERS": "2", "PAUSE": "200ms", "HOLD": "2s", "BASE_URL": service.root}
        done = run(tmp_path, variables)
    assert 10 <= done.values("iterations")["count"] <= 30


def test_warming_counts_for_no_threshold(tmp_path: Path) -> None:
    """If it fails, a service with a cold cache is judged by requests that only prepare the run."""
    with RecordingService() as service:
        done = run(tmp_path, {**ONE_REQUEST_WARMS, "BASE_URL": service.root, "BULK_SHARE": "0"})
    measured = done.values("http_reqs{scenario:default}")["count"]
    assert done.values("http_reqs")["count"] == measured + 2
    assert len(service.requests) == measured + 1
    assert done.values("cached_texts")["passes"] + done.values("cached_texts")["fails"] == measured


def test_summary_is_one_that_people_can_read(tmp_path: Path) -> None:
    """If it fails, the end of a run no longer tells what was measured, and which threshold was crossed."""

    def cache_nothing(reply: Reply) -> None:
        reply.headers["X-Cache"] = f"hits=0, misses={len(reply.predictions)}, coalesced=0"

    with RecordingService(cache_nothing) as service:
        done = run(tmp_path, {**ONE_REQUEST_WARMS, "BASE_URL": service.root})
    assert "  ✗ cached_texts  rate>0.95  (0.00%)" in done.stdout
    assert "  ✓ http_req_duration{scenario:default}  p(99)<2000  (" in done.stdout
    assert re.search(r"^  ✓ scores sum to one  \(100\.00%, \d+ of \d+\)$", done.stdout, re.MULTILINE)
    statistics_ = " +".join(
        rf"{re.escape(name)}=[\d.]+(µs|ms|s)" for name in done.summary["options"]["summaryTrendStats"]
    )
    assert re.search(rf"^  http_req_duration\.+: {statistics_}", done.stdout, re.MULTILINE)
    assert re.search(r"^  http_reqs\.+: \d+  [\d.]+/s$", done.stdout, re.MULTILINE)
    assert "url:" not in done.stdout
    assert done.summary["settings"]["address"] == service.root
    assert "p(99.99)" in done.values("http_req_duration")
