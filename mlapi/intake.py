"""From texts that nobody has computed yet to jobs in the batcher's lines: one flight per text.

A request boards a window of texts at a time. Texts that are on their way already are joined; the others take
off: they are admitted, tokenised (a sentence at once, all else in their lane's own thread), and queued.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlapi.cache.codec import encode_prediction
from mlapi.coalescing import Flight, Ticket
from mlapi.errors import EngineError
from mlapi.types import Lane
from mlapi.worker import Worker

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from mlapi.batching import Batcher
    from mlapi.lanes import Job
    from mlapi.ports import Cache
    from mlapi.types import CacheKey, Encoding

logger = logging.getLogger(__name__)

Encoded = list[tuple[Flight, "Encoding"]]


@dataclass(frozen=True, slots=True)
class Window:
    """Texts of one request that are in work together.

    Attributes:
        flights: One per text, in order.
        ticket: The request's wait for them.
        created: How many of them take off for this request.
        started: When, on the monotonic clock.
    """

    flights: list[Flight]
    ticket: Ticket
    created: int
    started: float


class Intake:
    """The table of texts on their way, and the threads that tokenise them."""

    def __init__(
        self,
        encode: Callable[[Sequence[str]], list[Encoding]],
        batcher: Batcher,
        cache: Cache,
        *,
        inline_chars: int = 0,
    ) -> None:
        """Join the parts.

        Args:
            encode: Turns texts into what the engine takes; called in one thread per lane.
            batcher: Takes what is encoded.
            cache: Gets every answer.
            inline_chars: Characters up to which `encode` is called at once instead, on the event loop, for a
                single interactive text. For several the tokeniser takes threads of its own, which the event
                loop would wait for.
        """
        self._inline_chars = inline_chars
        self._encode = encode
        self._batcher = batcher
        self._cache = cache
        self._flights: dict[CacheKey, Flight] = {}
        # A lane each, so that a single text never waits for the tokenisation of a bulk window.
        self._tokenizers = {
            lane: Worker(self._encode_wanted, name=f"mlapi-tokenize-{lane.value}") for lane in Lane
        }

    def start(self) -> None:
        """Start the threads. Needs a running event loop."""
        for tokenizer in self._tokenizers.values():
            tokenizer.start()

    def stop(self) -> None:
        """Let the threads end. The batcher is closed before, by whoever made it."""
        for tokenizer in self._tokenizers.values():
            tokenizer.stop(timeout=0.1)

    def healthy(self, *, stuck_after: float) -> bool:
        """Tell whether tokenisation makes progress: no call has taken longer than `stuck_after` seconds."""
        return all(tokenizer.healthy(stuck_after=stuck_after) for tokenizer in self._tokenizers.values())

    @property
    def in_flight(self) -> int:
        """How many distinct texts are on their way."""
        return len(self._flights)

    def is_on_its_way(self, key: CacheKey) -> bool:
        """Tell whether a flight for this text could be joined."""
        return key in self._flights

    def board(
        self, texts: Sequence[tuple[str, CacheKey]], *, lane: Lane, deadline: float, admit_until: float
    ) -> Window:
        """Join or start a flight for each text.

        Args:
            texts: Distinct texts with their keys.
            lane: Where the new ones wait.
            deadline: When this request stops waiting, on the monotonic clock.
            admit_until: When the new ones must be begun for them to be admitted at all, on the same clock.

        Raises:
            Overloaded: The new ones were refused; no flight was boarded.
            Draining: As above.
        """
        started = time.monotonic()
        new = [(text, key) for text, key in texts if key not in self._flights]
        if new:
            self._batcher.reserve(len(new), lane=lane, deadline=admit_until)
        for text, key in new:
            self._flights[key] = Flight(key, text, lane=lane, deadline=deadline, on_over=self._land)
        ticket = Ticket()
        flights = [self._flights[key] for _, key in texts]
        for flight in flights:
            ticket.add(flight)
            flight.deadline = max(flight.deadline, deadline)
            if lane is Lane.INTERACTIVE:
                self._batcher.promote(flight)
        if new:
            self._tokenize([self._flights[key] for _, key in new], lane)
        return Window(flights, ticket, created=len(new), started=started)

    def leave(self, window: Window) -> None:
        """Wait no longer; what nobody else waits for is dropped."""
        window.ticket.give_up()
        self._batcher.discard([flight for flight in window.flights if flight.leave(window.ticket)])

    def _tokenize(self, flights: list[Flight], lane: Lane) -> None:
        """Have the flights encoded and then queued.

        Queueing is a callback rather than the requester's own code: when that request is cancelled, others
        may wait for the same texts.
        """
        if lane is Lane.INTERACTIVE and len(flights) == 1 and len(flights[0].text) <= self._inline_chars:
            try:
                encoded = self._encode_wanted(flights)
            except BaseException as error:
                # As in the thread, whatever it is: a native library's panic is no Exception.
                self._tokenizer_failed(flights, error)
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
            else:
                self._submit(flights, encoded)
            return
        handed = self._tokenizers[lane].call(flights)
        handed.add_done_callback(lambda future: self._tokenized(flights, future))

    def _encode_wanted(self, flights: list[Flight]) -> Encoded:
        """Encode what somebody still waits for, in a tokeniser's thread or on the event loop."""
        wanted = [flight for flight in flights if not flight.over]
        if not wanted:
            return []
        return list(zip(wanted, self._encode([flight.text for flight in wanted]), strict=True))

    def _tokenized(self, flights: list[Flight], encoded: asyncio.Future[Encoded]) -> None:
        if (error := encoded.exception()) is not None:
            self._tokenizer_failed(flights, error)
        else:
            self._submit(flights, encoded.result())

    def _tokenizer_failed(self, flights: list[Flight], error: BaseException) -> None:
        logger.error("tokenising %d texts failed", len(flights), exc_info=error)
        for flight in flights:
            self._batcher.release(flight)
            flight.fail(EngineError("the tokeniser failed"))

    def _submit(self, flights: list[Flight], encoded: Encoded) -> None:
        """Queue what was encoded; give back the reservation of what was abandoned meanwhile."""
        ready: list[Job] = []
        for flight, encoding in encoded:
            if not flight.over:
                flight.encoding = encoding
                flight.text = ""
                ready.append(flight)
        for flight in set(flights).difference(ready):
            self._batcher.release(flight)
        self._batcher.submit(ready)

    def _land(self, flight: Flight) -> None:
        """Forget a flight that is over, and keep its answer if it has one."""
        del self._flights[flight.key]
        if flight.prediction is not None:
            self._cache.set_many({flight.key: encode_prediction(flight.prediction)})
