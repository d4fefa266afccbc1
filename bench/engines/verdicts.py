"""From measurements to what was aimed at: reached or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.verdict import Verdict

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
            "≥",
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
            verdicts.append(Verdict(what, medians[best][shape] / subject[shape], "≥", target, "times"))
    return verdicts


def service_verdicts(*, start_s: float, start_cached_s: float, resident_mb: float) -> list[Verdict]:
    """Compare the costs of a service with the subject's model with their targets.

    Args:
        start_s: Median seconds from process start to ready.
        start_cached_s: The same with compiled models cached.
        resident_mb: Resident memory after batches of 32x128, in 10^6 bytes.
    """
    return [
        Verdict("process start to ready", start_s, "≤", START_S, "s"),
        Verdict("process start to ready, compiled model cached", start_cached_s, "≤", START_CACHED_S, "s"),
        Verdict("resident memory of the service, batches of 32x128", resident_mb, "≤", RESIDENT_MB, "MB"),
    ]
