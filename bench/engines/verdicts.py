"""From measurements to what was aimed at: reached or not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SUBJECT = "openvino-int8"
REFERENCE = "transformers-fp32"

AGAINST_REFERENCE = {"1x16": 5.0, "1x128": 3.0, "32x32": 3.0, "1x512": 2.0}
"""By shape, how many times faster than transformers in float32 the subject should be."""

AGAINST_RIVALS = {"1x128": 1.15, "32x32": 1.2, "32x128": 1.3}
"""By shape, how many times faster than the best ONNX Runtime int8 graph the subject should be."""

START_S = 2.0
START_CACHED_S = 1.5
RESIDENT_MB = 550.0

Unit = Literal["times", "s", "MB"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One measured value against its target.

    Attributes:
        what: For people.
        value: As measured.
        target: The least ratio, or the most seconds or megabytes.
        unit: `times` for a ratio, which should be high; seconds and megabytes should be low.
    """

    what: str
    value: float
    target: float
    unit: Unit

    @property
    def reached(self) -> bool:
        """Whether the value is as good as its target; NaN never is."""
        return self.value >= self.target if self.unit == "times" else self.value <= self.target


def speed_verdicts(medians: Mapping[str, Mapping[str, float]], *, rivals: Collection[str]) -> list[Verdict]:
    """Compare the subject with the reference and with the best rival, at each shape that was measured.

    Args:
        medians: Seconds (of whatever unit) by contender and shape; holds subject, reference and rivals.
        rivals: The contenders of which the fastest at each shape counts.
    """
    subject = medians[SUBJECT]
    verdicts = [
        Verdict(
            f"{SUBJECT} against {REFERENCE}, {shape}",
            medians[REFERENCE][shape] / subject[shape],
            target,
            "times",
        )
        for shape, target in AGAINST_REFERENCE.items()
        if shape in subject
    ]
    for shape, target in AGAINST_RIVALS.items():
        if shape in subject:
            best = min(rivals, key=lambda name: medians[name][shape])
            what = f"{SUBJECT} against the best ONNX Runtime int8 ({best}), {shape}"
            verdicts.append(Verdict(what, medians[best][shape] / subject[shape], target, "times"))
    return verdicts


def service_verdicts(*, start_s: float, start_cached_s: float, resident_mb: float) -> list[Verdict]:
    """Compare the costs of a service with the subject's model with their targets.

    Args:
        start_s: Median seconds from process start to ready.
        start_cached_s: The same with compiled models cached.
        resident_mb: Resident memory after batches of 32x128, in 10^6 bytes.
    """
    return [
        Verdict("process start to ready", start_s, START_S, "s"),
        Verdict("process start to ready, compiled model cached", start_cached_s, START_CACHED_S, "s"),
        Verdict("resident memory of the service, batches of 32x128", resident_mb, RESIDENT_MB, "MB"),
    ]


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits and no exponent."""
    if not math.isfinite(value) or value == 0:
        return str(value)
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"
