from __future__ import annotations

import asyncio

import pytest

from mlapi.errors import Starting
from mlapi.serving import Serving
from tests.support.fakes import Rig


async def test_from_start_to_end() -> None:
    """If it fails, readiness says the wrong thing at some point of a process's life."""
    serving = Serving()
    assert serving.phase == "starting"
    with pytest.raises(Starting) as caught:
        serving.require_predictor()
    assert caught.value.retry_after > 0
    async with Rig() as rig:
        serving.ready(rig.predictor)
        assert _phase(serving) == "healthy"
        assert serving.require_predictor() is rig.predictor
        serving.drain()
        assert _phase(serving) == "draining"
        assert serving.require_predictor() is rig.predictor


def _phase(serving: Serving) -> str:
    """Return the phase as mypy does not foresee it."""
    return serving.phase


async def test_an_engine_that_is_stuck() -> None:
    """If it fails, traffic goes on to a process whose engine hangs, or a drain is hidden by it."""
    serving = Serving()
    assert serving.alive(stuck_after=0)
    assert serving.status(stuck_after=0) == "starting"
    async with Rig() as rig:
        serving.ready(rig.predictor)
        assert serving.status(stuck_after=60) == "healthy"
        rig.engine.gate.clear()
        waiting = asyncio.create_task(rig.predictor.predict(["a"], timeout=60))
        await rig.engine_is_busy()
        assert (serving.alive(stuck_after=60), serving.status(stuck_after=60)) == (True, "healthy")
        assert (serving.alive(stuck_after=0), serving.status(stuck_after=0)) == (False, "stuck")
        serving.drain()
        assert serving.status(stuck_after=0) == "draining"
        rig.engine.gate.set()
        await waiting


async def test_a_model_that_is_loaded_too_late() -> None:
    """If it fails, a process that is shutting down asks for traffic when its model comes in after all."""
    serving = Serving()
    serving.drain()
    async with Rig() as rig:
        serving.ready(rig.predictor)
    assert serving.phase == "draining"
