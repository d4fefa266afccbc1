"""From new texts to queued jobs. The way of whole requests is tested with the predictor."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from mlapi.cache.codec import KeyMaker
from mlapi.engines.fake import FakeTokenizer
from mlapi.errors import EngineError
from mlapi.intake import Intake
from mlapi.types import Lane
from tests.support.fakes import INFO, Rig, eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.intake import Window
    from mlapi.types import Encoding

KEY = KeyMaker(INFO)


class GatedTokenizer(FakeTokenizer):
    """Waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        self.gate.wait(10)
        return super().encode(texts)


def _board(intake: Intake, *texts: str, lane: Lane = Lane.INTERACTIVE) -> Window:
    later = time.monotonic() + 60
    return intake.board([(text, KEY(text)) for text in texts], lane=lane, deadline=later, admit_until=later)


async def test_texts_abandoned_while_they_are_tokenised_never_reach_the_queue() -> None:
    """Texts of clients that left early would be computed, or their places never given back."""
    async with Rig() as rig:
        tokenizer = GatedTokenizer()
        intake = Intake(tokenizer.encode, rig.batcher, rig.cache)
        intake.start()
        window = _board(intake, "a", "b")
        also = _board(intake, "b", "c")
        assert (intake.in_flight, rig.batcher.waiting, also.created) == (3, 3, 1)
        intake.leave(window)
        assert not intake.is_on_its_way(KEY("a"))
        assert intake.is_on_its_way(KEY("b"))
        tokenizer.gate.set()
        await also.ticket.done
        await eventually(lambda: rig.batcher.waiting == 0)
        assert rig.texts_run == 2
        intake.stop()


async def test_texts_all_abandoned_before_their_turn_are_not_even_tokenised() -> None:
    """Cancelled requests would cost tokenisation."""
    async with Rig() as rig:
        tokenizer = GatedTokenizer()
        intake = Intake(tokenizer.encode, rig.batcher, rig.cache)
        intake.start()
        first = _board(intake, "a")
        intake.leave(_board(intake, "b"))
        tokenizer.gate.set()
        await first.ticket.done
        await eventually(lambda: rig.batcher.waiting == 0)
        assert tokenizer.calls == [1]
        intake.stop()


async def test_a_hung_tokeniser_is_noticed() -> None:
    """All requests would time out while liveness says that all is well."""
    async with Rig() as rig:
        tokenizer = GatedTokenizer()
        intake = Intake(tokenizer.encode, rig.batcher, rig.cache)
        intake.start()
        assert intake.healthy(stuck_after=60)
        window = _board(intake, "a")
        await eventually(lambda: not intake.healthy(stuck_after=0.001))
        tokenizer.gate.set()
        await window.ticket.done
        await eventually(lambda: intake.healthy(stuck_after=60))
        intake.stop()


async def test_the_text_is_not_kept_once_it_is_encoded() -> None:
    """A full queue would hold every text twice, as characters and as token ids."""
    async with Rig() as rig:
        intake = Intake(rig.tokenizer.encode, rig.batcher, rig.cache)
        intake.start()
        window = _board(intake, "a")
        await window.ticket.done
        assert window.flights[0].text == ""
        intake.stop()


class NotedTokenizer(FakeTokenizer):
    """Notes in which thread it was called; fails on request."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []
        self.error: BaseException | None = None

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        self.threads.append(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        return super().encode(texts)


async def test_short_requests_are_tokenised_at_once_and_others_in_threads() -> None:
    """If this fails, each sentence is handed to a thread and back, or a long text holds the event loop."""
    async with Rig() as rig:
        tokenizer = NotedTokenizer()
        intake = Intake(tokenizer.encode, rig.batcher, rig.cache, inline_chars=10)
        intake.start()
        here = threading.current_thread().name
        for texts, lane, thread in (
            (("short",), Lane.INTERACTIVE, here),
            (("two", "words"), Lane.INTERACTIVE, "mlapi-tokenize-interactive"),
            (("longer than ten",), Lane.INTERACTIVE, "mlapi-tokenize-interactive"),
            (("bulk",), Lane.BULK, "mlapi-tokenize-bulk"),
        ):
            await _board(intake, *texts, lane=lane).ticket.done
            assert tokenizer.threads[-1] == thread
        assert rig.texts_run == 5
        intake.stop()


class _Panic(BaseException):
    """What a native library raises when it panics: no `Exception`."""


@pytest.mark.parametrize("error", [LookupError(), _Panic()])
async def test_a_tokeniser_that_fails_at_once_gives_back_its_places(error: BaseException) -> None:
    """If this fails, texts that cannot be tokenised block the queue for ever, or their clients wait."""
    async with Rig() as rig:
        tokenizer = NotedTokenizer()
        intake = Intake(tokenizer.encode, rig.batcher, rig.cache, inline_chars=10)
        tokenizer.error = error
        window = _board(intake, "a")
        with pytest.raises(EngineError):
            await window.ticket.done
        assert (rig.batcher.waiting, intake.in_flight) == (0, 0)
