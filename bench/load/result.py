"""What one window of load gave."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

OK = 200


@dataclass(slots=True)
class Load:
    """One window, as the client saw it.

    Requests belong to the window in which they were sent, or, in an open loop, were due: `latencies_s`,
    `statuses`, `failures`, `dropped` and the counts of `X-Cache` are those of such requests, answered in the
    window or after it. `completed` and `texts` count what was answered in the window, whenever it was sent,
    because a window of a loaded server begins and ends with requests under way.

    Attributes:
        latencies_s: Seconds from sending (closed loop) or from the due time (open loop) to the last byte, of
            each request that was answered with 200, in the order of the answers.
        seconds: How long the window was.
        completed: Requests answered with 200 in the window.
        texts: Texts in those.
        steady: Closed loop for a time: requests and texts per second by the clients' own cycles, which begin
            in the window and may end shortly after it; see `bench.load.renewals`. None elsewhere.
        statuses: How often each status was answered.
        failures: By reason, how often there was no response.
        dropped: Requests that were due when no connection was free, and were not sent.
        client_cpu_s: CPU seconds of the generator in the window.
        server_cpu_s: CPU seconds of the server's process and its descendants in the window, if its id was
            given and it lived.
        lateness_s: Open loop: by how much each request was sent after it was due though a connection stood
            open, which is the generator's own doing. It is part of the latency.
        hits: Texts answered from the cache, by `X-Cache`.
        misses: Texts computed.
        coalesced: Texts that were computed once for several.
    """

    latencies_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    completed: int = 0
    texts: int = 0
    steady: tuple[float, float] | None = None
    statuses: dict[int, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    client_cpu_s: float = 0.0
    server_cpu_s: float | None = None
    lateness_s: list[float] = field(default_factory=list)
    hits: int = 0
    misses: int = 0
    coalesced: int = 0

    @property
    def errors(self) -> int:
        """Requests without a response: refused, closed, garbled or timed out."""
        return sum(self.failures.values())

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200, for whatever reason."""
        return (
            self.errors + self.dropped + sum(count for status, count in self.statuses.items() if status != OK)
        )

    @property
    def requests_per_s(self) -> float:
        """Answers with 200 per second: `steady` where there is one, or those in the window by its length."""
        return self.steady[0] if self.steady else self.completed / self.seconds

    @property
    def texts_per_s(self) -> float:
        """Texts answered per second, as `requests_per_s`."""
        return self.steady[1] if self.steady else self.texts / self.seconds

    def percentile(self, percent: float) -> float:
        """Return the latency in seconds that so many percent do not exceed, by nearest rank.

        NaN where nothing was answered.
        """
        return percentile(self.latencies_s, percent)


def percentile(values: list[float], percent: float) -> float:
    """Return the smallest value that so many percent of all do not exceed; NaN without any."""
    if not values:
        return math.nan
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
