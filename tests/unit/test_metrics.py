from __future__ import annotations

from prometheus_client import generate_latest

from mlapi.metrics import Metrics
from mlapi.types import Lane
from tests.support.fakes import INFO
from tests.support.http_server import samples


def _read(metrics: Metrics) -> dict[str, float]:
    return samples(generate_latest(metrics.registry).decode())


def test_two_apps_in_one_process_do_not_share() -> None:
    """If it fails, a second app in the same process cannot be built, or counts for the first."""
    first, second = Metrics(), Metrics()
    first.batch_failed()
    assert _read(first)["mlapi_batch_failures_total"] == 1
    assert _read(second)["mlapi_batch_failures_total"] == 0


def test_batches() -> None:
    """If it fails, batch sizes, engine time or padding are shown wrongly."""
    metrics = Metrics()
    metrics.batch_done(texts=4, padded_tokens=40, tokens=30, seconds=0.25)
    metrics.batch_done(texts=1, padded_tokens=5, tokens=5, seconds=0.5)
    read = _read(metrics)
    assert (read["mlapi_batch_texts_count"], read["mlapi_batch_texts_sum"]) == (2, 5)
    assert read['mlapi_batch_texts_bucket{le="1.0"}'] == 1
    assert read["mlapi_batch_seconds_sum"] == 0.75
    assert (read["mlapi_tokens_total"], read["mlapi_padding_tokens_total"]) == (35, 10)


def test_the_cache_is_unknown_until_it_is_told() -> None:
    """If it fails, a Redis that nobody has asked yet, or that does not exist, is shown as down."""
    metrics = Metrics()
    assert "mlapi_cache_up" not in _read(metrics)
    for up in (False, True, False):
        metrics.cache_up(up)
        assert _read(metrics)["mlapi_cache_up"] == up


def test_texts_by_source() -> None:
    """If it fails, the hit rate on the dashboards is wrong."""
    metrics = Metrics()
    metrics.answered(hits=3, misses=2, coalesced=1, truncated=4)
    metrics.answered(hits=1, misses=0, coalesced=0, truncated=0)
    read = _read(metrics)
    assert read['mlapi_texts_total{source="cache"}'] == 4
    assert read['mlapi_texts_total{source="engine"}'] == 2
    assert read['mlapi_texts_total{source="coalesced"}'] == 1
    assert read["mlapi_truncated_texts_total"] == 4


def test_queue_cache_and_refusals() -> None:
    """If it fails, the queue's length, cache failures or refusals are not seen."""
    metrics = Metrics()
    metrics.queue_changed(Lane.BULK, texts=7, tokens=70)
    metrics.queue_changed(Lane.BULK, texts=5, tokens=50)
    metrics.refused("texts")
    metrics.cache_event("write", 3)
    metrics.cache_event("write")
    read = _read(metrics)
    assert (read['mlapi_queue_texts{lane="bulk"}'], read['mlapi_queue_tokens{lane="bulk"}']) == (5, 50)
    assert read['mlapi_refused_total{reason="texts"}'] == 1
    assert read['mlapi_cache_events_total{event="write"}'] == 4


def test_the_model() -> None:
    """If it fails, it cannot be told from the metrics which model and variant answered."""
    metrics = Metrics()
    metrics.model_loaded(INFO, threads=3, cpus=4)
    read = _read(metrics)
    (labels,) = [name for name in read if name.startswith("mlapi_model{")]
    for part in (INFO.name, INFO.version, INFO.variant, INFO.variant_id, INFO.engine, INFO.precision):
        assert f'"{part}"' in labels
    assert (read["mlapi_engine_threads"], read["mlapi_available_cpus"]) == (3, 4)


def test_no_series_for_creation_times() -> None:
    """If it fails, every counter has a second series that nothing reads."""
    metrics = Metrics()
    metrics.answered(hits=1, misses=1, coalesced=1, truncated=1)
    assert not any("_created" in name for name in _read(metrics))
