"""What is kept of one window: everything that tables, plots and verdicts are made of."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.compare.histogram import counted
from bench.compare.points import Point
from bench.load.result import percentile

if TYPE_CHECKING:
    from bench.load.result import Load

PERCENTILES = (50, 90, 95, 99, 100)

TOO_SLOW_MS = 1000.0
KEPT_UP = 0.75
AT_THE_END = 2
"""Of the requests of an open loop, the share that must be answered while it lasts, but for so many."""


@dataclass(frozen=True, slots=True)
class Window:
    """One contestant at one point in one round. See `Load` for what counts as what.

    Attributes:
        contestant: Its name.
        round: From 1.
        point: What was measured.
        seconds: Length of the window.
        requests: Answered with 200 in it.
        texts: In those.
        requests_per_s: By the clients' cycles in a closed loop, so not exactly `requests` over `seconds`.
        texts_per_s: Likewise.
        sent: Requests of which the outcome is known: answered, failed or dropped.
        latency_ms: By percentile (100 is the longest), and `mean`; empty where nothing was answered with 200.
        histogram: Latencies by bin, see `histogram.counted`.
        statuses: How often each was answered.
        failures: By reason, how often there was no response.
        dropped: Requests that were due and found no connection.
        client_cpu_s: CPU seconds of the load generator.
        server_cpu_s: CPU seconds of the server's processes; None if it ended meanwhile.
        lateness_ms: 99th percentile of the generator's own delay in an open loop; None in a closed one.
        hits: Texts answered from a cache, where the server tells.
        misses: Texts that it computed.
        coalesced: Texts that it computed once for several.
    """

    contestant: str
    round: int
    point: Point
    seconds: float
    requests: int
    texts: int
    requests_per_s: float
    texts_per_s: float
    sent: int
    latency_ms: dict[str, float]
    histogram: dict[int, int]
    statuses: dict[int, int]
    failures: dict[str, int]
    dropped: int
    client_cpu_s: float
    server_cpu_s: float | None
    lateness_ms: float | None
    hits: int
    misses: int
    coalesced: int

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return self.sent - sum(self.histogram.values())

    @property
    def keeps_up(self) -> bool:
        """Whether a server stood the rate of an open loop: all answered, and the wait did not grow."""
        answered = self.requests >= KEPT_UP * self.sent - AT_THE_END
        return answered and not self.failed and self.latency(50) <= TOO_SLOW_MS

    @property
    def server_ms(self) -> float:
        """CPU milliseconds of the server per answered request; NaN without any."""
        return math.nan if self.server_cpu_s is None else self._per_request_ms(self.server_cpu_s)

    @property
    def client_ms(self) -> float:
        """CPU milliseconds of the load generator per answered request; NaN without any."""
        return self._per_request_ms(self.client_cpu_s)

    def _per_request_ms(self, seconds: float) -> float:
        rate = self.requests_per_s
        return 1e3 * seconds / self.seconds / rate if rate else math.nan

    def latency(self, percent: int) -> float:
        """Return one of `PERCENTILES` in milliseconds; NaN where nothing was answered."""
        return self.latency_ms.get(str(percent), math.nan)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Window:
        """Read what `to_json` made, after JSON has turned the keys of its objects into strings."""
        given = {name: content[name] for name in cls.__dataclass_fields__}
        given["point"] = Point(**content["point"])
        for name in ("histogram", "statuses"):
            given[name] = {int(key): count for key, count in content[name].items()}
        return cls(**given)


def summed_up(load: Load, *, contestant: str, number: int, point: Point) -> Window:
    """Return what is kept of a load whose server's CPU time was taken.

    Args:
        load: As the generator gave it.
        contestant: Whose it is.
        number: Of the round.
        point: What was measured.
    """
    latencies = sorted(load.latencies_s)
    latency_ms = {str(each): 1e3 * percentile(latencies, each) for each in PERCENTILES} if latencies else {}
    if latencies:
        latency_ms["mean"] = 1e3 * statistics.fmean(latencies)
    return Window(
        contestant=contestant,
        round=number,
        point=point,
        seconds=load.seconds,
        requests=load.completed,
        texts=load.texts,
        requests_per_s=load.requests_per_s,
        texts_per_s=load.texts_per_s,
        sent=sum(load.statuses.values()) + load.errors + load.dropped,
        latency_ms=latency_ms,
        histogram=counted(latencies),
        statuses=load.statuses,
        failures=load.failures,
        dropped=load.dropped,
        client_cpu_s=load.client_cpu_s,
        server_cpu_s=load.server_cpu_s,
        lateness_ms=1e3 * percentile(load.lateness_s, 99) if load.lateness_s else None,
        hits=load.hits,
        misses=load.misses,
        coalesced=load.coalesced,
    )
