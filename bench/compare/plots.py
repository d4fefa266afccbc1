"""Three pictures of a comparison, as PNG: throughput, spread of latency, latency over an offered rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bench.compare.contestants import NAME
from bench.compare.histogram import added, cumulative
from bench.compare.medians import median, stood
from bench.compare.points import DISTINCT, MANY, OPEN, Point

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.compare.results import Results

THROUGHPUT, LATENCY, RATE = "bench-throughput.png", "bench-latency.png", "bench-rate.png"

OWN_COLOUR = "#000000"
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#882255")
"""Told apart by people of any colour vision (Okabe and Ito, 2008; grey and wine in place of its yellow)."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
STYLES = ("-", "--", ":", "-.")
DOTS_PER_INCH = 150
SOFTWARE = {"Software": None}
"""Keeps matplotlib's version out of the file, so that equal results are equal files."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw what there are windows for, and return the files.

    Args:
        results: Of all rounds.
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workloads = {window.point.workload for window in results.windows}
    wanted: dict[str, tuple[str, Callable[[Results, Path], None]]] = {
        THROUGHPUT: (DISTINCT, draw_throughput),
        LATENCY: (DISTINCT, draw_latency),
        RATE: (OPEN, draw_rate),
    }
    drawn = []
    for name, (workload, picture) in wanted.items():
        if workload in workloads:
            picture(results, folder / name)
            drawn.append(folder / name)
    return drawn


def draw_throughput(results: Results, path: Path) -> None:
    """Draw requests per second over clients: medians, and as bars the range of the rounds."""
    figure = _figure(7.6, 4.6)
    axes = figure.add_subplot()
    clients = sorted({each.point.clients for each in results.windows if each.point.workload == DISTINCT})
    for name in results.names():
        points = [Point(DISTINCT, clients=count) for count in clients]
        medians = [
            median(results.windows, name, each, lambda window: window.requests_per_s) for each in points
        ]
        ranges = [_range(results, name, each) for each in points]
        below = [middle - low for middle, (low, _) in zip(medians, ranges, strict=True)]
        above = [high - middle for middle, (_, high) in zip(medians, ranges, strict=True)]
        axes.errorbar(clients, medians, [below, above], capsize=2, **_style(results, name))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(clients, [f"{count}" for count in clients])
    axes.minorticks_off()
    _plain_numbers(axes.yaxis)
    axes.set(xlabel="clients", ylabel="requests per second")
    axes.set_title("Distinct texts of about 20 tokens; bars: the range of the rounds", fontsize=10)
    _finish(figure, axes, path)


def draw_latency(results: Results, path: Path) -> None:
    """Draw, for the largest number of clients up to 32, which share of requests took at most how long."""
    known = {each.point.clients for each in results.windows if each.point.workload == DISTINCT}
    clients = max((count for count in known if count <= MANY), default=min(known))
    point = Point(DISTINCT, clients=clients)
    figure = _figure(7.6, 4.6)
    axes = figure.add_subplot()
    for name in results.names():
        windows = [each for each in results.windows if (each.contestant, each.point) == (name, point)]
        steps = cumulative(added(window.histogram for window in windows))
        if steps:
            style = _style(results, name) | {"marker": ""}
            axes.step(
                [steps[0][0], *(x for x, _ in steps)], [0, *(y for _, y in steps)], where="post", **style
            )
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set(xlabel="latency, ms", ylabel="share of requests that took at most so long", ylim=(0, 1.02))
    axes.set_title(
        f"Latency of distinct texts of about 20 tokens, {clients} clients, all rounds", fontsize=10
    )
    _finish(figure, axes, path)


def draw_rate(results: Results, path: Path) -> None:
    """Draw median and 99th percentile of latency over the offered rate."""
    figure = _figure(9.6, 4.6)
    panels = figure.subplots(1, 2, sharey=True)
    rates = sorted({each.point.rate for each in results.windows if each.point.workload == OPEN})
    for axes, percent, title in zip(panels, (50, 99), ("median", "99th percentile"), strict=True):
        for name in results.names():
            values = [
                median(results.windows, name, Point(OPEN, rate=rate), lambda each: each.latency(percent))  # noqa: B023 - called at once
                if stood(results.windows, name, Point(OPEN, rate=rate))
                else math.nan
                for rate in rates
            ]
            axes.plot(rates, values, **_style(results, name))
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.minorticks_off()
        axes.set(xlabel="offered requests per second")
        axes.set_title(title, fontsize=10)
        _plain_numbers(axes.yaxis)
        _grid(axes)
    panels[0].set_ylabel("latency from the due time, ms")
    figure.suptitle(
        "Open loop, texts of about 20 tokens; a line ends before a rate that was too much in any round",
        fontsize=10,
    )
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False
    )
    _save(figure, path)


def _range(results: Results, name: str, point: Point) -> tuple[float, float]:
    values = [
        window.requests_per_s
        for window in results.windows
        if (window.contestant, window.point) == (name, point)
    ]
    return (min(values), max(values)) if values else (math.nan, math.nan)


def _style(results: Results, name: str) -> dict[str, Any]:
    if name == NAME:
        return {"label": name, "color": OWN_COLOUR, "marker": "*", "markersize": 9, "linewidth": 2.4}
    number = [each["name"] for each in results.contestants if each["name"] != NAME].index(name)
    return {
        "label": name,
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": STYLES[number % len(STYLES)],
        "markersize": 4.5,
        "linewidth": 1.4,
    }


def _plain_numbers(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _grid(axes: Any) -> None:
    axes.grid(visible=True, color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _finish(figure: Any, axes: Any, path: Path) -> None:
    _grid(axes)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata=SOFTWARE)
