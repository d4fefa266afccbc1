"""From measurements to what was aimed at: reached or not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.compare.contestants import NAME
from bench.compare.medians import Ratio, best, ratio
from bench.compare.points import DISTINCT, LENGTHS, MANY, Point

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bench.compare.window import Window

PLAIN = "plain"
OWN_ENGINE = "openvino int8"
"""The engine of a peer that runs this project's int8 graph."""

AGAINST_PLAIN, AGAINST_BEST, AGAINST_BEST_ON_OWN_ENGINE = 7.0, 2.5, 1.2
LATENCY_AGAINST_PLAIN = 5.0

PUBLISHED = {
    8: (248, 49),
    16: (212, 50),
    32: (150, 40),
    64: (97, 28),
    128: (55, 18),
    256: (27, 9),
    512: (12, 4),
}
"""By tokens, requests per second at batch 1 of a commercial server for DistilBERT on two cores (Hugging Face
Infinity, discontinued, EC2 C6i), and of plain transformers beside it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One ratio against the least that it should be.

    Attributes:
        what: For people.
        ratio: As measured; its value is NaN where something is missing.
        target: The least that was aimed at.
    """

    what: str
    ratio: Ratio
    target: float

    @property
    def measured(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.ratio.value)

    @property
    def reached(self) -> bool:
        """Whether the value is as high as its target; NaN never is."""
        return self.ratio.value >= self.target

    def to_json(self) -> dict[str, Any]:
        """Return it for those who read the file."""
        ratio = {"value": self.ratio.value, "low": self.ratio.low, "high": self.ratio.high}
        return {"what": self.what, **ratio, "target": self.target, "reached": self.reached}


def judge(windows: Collection[Window], engines: Mapping[str, str]) -> list[Verdict]:
    """Compare this service with its peers where there is a target.

    Args:
        windows: All.
        engines: By contestant, what computes.
    """
    return [*_throughput(windows, engines), _latency(windows), *_lengths(windows)]


def documented(engines: Mapping[str, str]) -> list[str]:
    """Return the peers that run the engine that their documentation gives them."""
    return [name for name, engine in engines.items() if name != NAME and OWN_ENGINE not in engine]


def on_own_engine(engines: Mapping[str, str]) -> list[str]:
    """Return the peers that run this project's graph."""
    return [name for name, engine in engines.items() if name != NAME and OWN_ENGINE in engine]


def published_speed_up(tokens: int) -> float:
    """Return how many times plain transformers the commercial server was at this length."""
    server, plain = PUBLISHED[tokens]
    return server / plain


def _requests_per_s(window: Window) -> float:
    return window.requests_per_s


def _throughput(windows: Collection[Window], engines: Mapping[str, str]) -> list[Verdict]:
    point = Point(DISTINCT, clients=MANY)
    what = f"requests/s, about 20 tokens, {MANY} clients, against"
    verdicts = [Verdict(f"{what} the plain pipeline", _against(windows, PLAIN, point), AGAINST_PLAIN)]
    for rivals, which, target in (
        (documented(engines), "the best peer as documented", AGAINST_BEST),
        (on_own_engine(engines), "the best peer on our own engine", AGAINST_BEST_ON_OWN_ENGINE),
    ):
        rival = best(windows, rivals, point, _requests_per_s)
        named = f"{which} ({rival or 'none measured'})"
        verdicts.append(Verdict(f"{what} {named}", _against(windows, rival, point), target))
    return verdicts


def _latency(windows: Collection[Window]) -> Verdict:
    found = ratio(windows, PLAIN, NAME, Point(DISTINCT, clients=1), lambda window: window.latency(50))
    what = "median latency, about 20 tokens, 1 client: the plain pipeline's against ours"
    return Verdict(what, found, LATENCY_AGAINST_PLAIN)


def _lengths(windows: Collection[Window]) -> list[Verdict]:
    return [
        Verdict(
            f"requests/s, {tokens} tokens, 1 client, against plain (published: {server} / {plain})",
            _against(windows, PLAIN, Point(LENGTHS, clients=1, tokens=tokens)),
            published_speed_up(tokens),
        )
        for tokens, (server, plain) in PUBLISHED.items()
    ]


def _against(windows: Collection[Window], rival: str | None, point: Point) -> Ratio:
    if rival is None:
        return Ratio(math.nan, math.nan, math.nan)
    return ratio(windows, NAME, rival, point, _requests_per_s)
