"""Which variant `auto` takes first on a machine, and the words for why.

See docs/adr/0017-which-variant-auto-takes.md. Nothing is measured here: the order is known from measurements,
and decided from plain values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlapi.models.manifest import Variant
    from mlapi.types import Machine

X86_64, ARM64 = "x86-64", "arm64"

BY_SPEED: dict[str, tuple[tuple[str, str], ...]] = {
    X86_64: (
        ("openvino", "int8"),
        ("onnx", "int8"),
        ("openvino", "fp32"),
        ("onnx", "fp32"),
        ("lab", "fp32"),
        ("torch", "fp32"),
    ),
    # OpenVINO computes most of a quantised graph in floats there.
    ARM64: (
        ("onnx", "int8"),
        ("onnx", "fp32"),
        ("openvino", "fp32"),
        ("lab", "fp32"),
        ("torch", "fp32"),
        ("openvino", "int8"),
    ),
}
"""Engine and precision from fast to slow, by kind of machine; x86-64 stands for unknown ones."""

INT8_NAMES = {
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx2": "AVX2",
    "asimddp": "dot products",
}
"""What a CPU must have one of to be faster in int8, by flag, the best first."""


def by_preference(variants: Mapping[str, Variant], machine: Machine) -> list[str]:
    """Return the names of variants in the order in which to try them.

    Variants in int8 that passed no gate, or that this CPU has no instructions for, come after all others:
    the first are not proven, the others not fast.
    """
    order = BY_SPEED.get(machine.arch, BY_SPEED[X86_64])

    def rank(name: str) -> tuple[bool, bool, int]:
        variant = variants[name]
        pair = (variant.engine, variant.precision)
        place = order.index(pair) if pair in order else len(order)
        demoted = variant.precision == "int8" and (variant.gate is None or int8_instructions(machine) is None)
        return demoted, not (machine.cuda and variant.engine == "torch"), place

    return sorted(variants, key=rank)


def int8_instructions(machine: Machine) -> str | None:
    """Return the name of what makes int8 fast on this machine, None where nothing does."""
    return next((name for flag, name in INT8_NAMES.items() if flag in machine.flags), None)


def describe(machine: Machine) -> str:
    """Return a few words about a machine, such as `x86-64 with AVX2`."""
    instructions = int8_instructions(machine) or "no instructions for int8"
    return f"{machine.arch} with {instructions}{' and CUDA' if machine.cuda else ''}"


def reason(
    name: str, variants: Mapping[str, Variant], machine: Machine, *, failures: Mapping[str, str]
) -> str:
    """Say why a variant was taken.

    Args:
        name: The variant.
        variants: All that the directory holds.
        machine: Where it is to run.
        failures: Those that were tried before, with what was wrong in a few words.
    """
    count = len(variants)
    words = f"fastest of {count} on {describe(machine)}" if count > 1 else "the only variant"
    if failures:
        words = f"fastest of {count} that works on {describe(machine)}"
    remarks = [f"{failed}: {what}" for failed, what in failures.items()]
    remarks += [
        f"{other}: passed no gate"
        for other, variant in variants.items()
        if other != name and other not in failures and variant.precision == "int8" and variant.gate is None
    ]
    return f"{words} ({'; '.join(remarks)})" if remarks else words
