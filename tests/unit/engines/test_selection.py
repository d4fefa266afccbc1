from __future__ import annotations

from typing import Literal, get_args

import pytest

from mlapi.engines.selection import ARM64, BY_SPEED, X86_64, by_preference, describe, reason
from mlapi.models.manifest import Variant
from mlapi.types import Machine
from tests.support.model_directory import GATE

Engine = Literal["torch", "onnx", "openvino", "lab"]


def _variant(engine: Engine, precision: Literal["fp32", "int8"], *, gated: bool = True) -> Variant:
    return Variant(
        engine=engine,
        precision=precision,
        id="0" * 16,
        files=("onnx/model.onnx",),
        golden_tolerance=0.01,
        gate=GATE if precision == "int8" and gated else None,
    )


VARIANTS = {
    "torch-fp32": _variant("torch", "fp32"),
    "onnx-fp32": _variant("onnx", "fp32"),
    "onnx-int8": _variant("onnx", "int8"),
    "openvino-fp32": _variant("openvino", "fp32"),
    "openvino-int8": _variant("openvino", "int8"),
}
VNNI = Machine(X86_64, frozenset({"avx2", "avx512_vnni"}))
AVX2 = Machine(X86_64, frozenset({"avx2", "sse4_2"}))
OLD = Machine(X86_64, frozenset({"sse4_2"}))
ARM = Machine(ARM64, frozenset({"asimd", "asimddp"}))
OLD_ARM = Machine(ARM64, frozenset({"asimd"}))


@pytest.mark.parametrize(
    ("machine", "order"),
    [
        (VNNI, ["openvino-int8", "onnx-int8", "openvino-fp32", "onnx-fp32", "torch-fp32"]),
        (AVX2, ["openvino-int8", "onnx-int8", "openvino-fp32", "onnx-fp32", "torch-fp32"]),
        (OLD, ["openvino-fp32", "onnx-fp32", "torch-fp32", "openvino-int8", "onnx-int8"]),
        (ARM, ["onnx-int8", "onnx-fp32", "openvino-fp32", "torch-fp32", "openvino-int8"]),
        (OLD_ARM, ["onnx-fp32", "openvino-fp32", "torch-fp32", "onnx-int8", "openvino-int8"]),
        (Machine("riscv64"), ["openvino-fp32", "onnx-fp32", "torch-fp32", "openvino-int8", "onnx-int8"]),
        (
            Machine(X86_64, frozenset({"avx2"}), cuda=True),
            ["torch-fp32", "openvino-int8", "onnx-int8", "openvino-fp32", "onnx-fp32"],
        ),
    ],
)
def test_order_by_machine(machine: Machine, order: list[str]) -> None:
    """If it fails, auto serves a variant that is slower on this machine than another one."""
    assert by_preference(VARIANTS, machine) == order
    assert by_preference(dict(reversed(VARIANTS.items())), machine) == order


@pytest.mark.parametrize("machine", [VNNI, AVX2, OLD, ARM])
def test_int8_that_passed_no_gate_comes_last(machine: Machine) -> None:
    """If it fails, a quantised model whose accuracy nobody has checked is what answers."""
    variants = VARIANTS | {
        name: VARIANTS[name].model_copy(update={"gate": None}) for name in ("onnx-int8", "openvino-int8")
    }
    order = by_preference(variants, machine)
    assert set(order[:3]) == {"openvino-fp32", "onnx-fp32", "torch-fp32"}


@pytest.mark.parametrize("arch", BY_SPEED)
def test_every_engine_and_precision_of_the_manifest_has_a_place(arch: str) -> None:
    """If it fails, a new engine is tried after all others on some machines, unnoticed."""
    fields = Variant.model_fields
    pairs = {
        (engine, precision)
        for engine in get_args(fields["engine"].annotation)
        for precision in get_args(fields["precision"].annotation)
    }
    never_int8 = {("torch", "int8"), ("lab", "int8")}
    assert set(BY_SPEED[arch]) == pairs - never_int8


def test_machines_in_words() -> None:
    """If it fails, the log does not say what the choice went by."""
    assert describe(VNNI) == "x86-64 with AVX512-VNNI"
    assert describe(AVX2) == "x86-64 with AVX2"
    assert describe(OLD) == "x86-64 with no instructions for int8"
    assert describe(Machine(ARM64, frozenset({"asimddp"}), cuda=True)) == "arm64 with dot products and CUDA"


def test_reasons_in_words() -> None:
    """If it fails, nobody can tell from log and health page why this variant answers."""
    one = {"onnx-fp32": VARIANTS["onnx-fp32"]}
    assert reason("onnx-fp32", one, VNNI, failures={}) == "the only variant"
    assert reason("openvino-int8", VARIANTS, VNNI, failures={}) == ("fastest of 5 on x86-64 with AVX512-VNNI")
    failures = {"openvino-int8": "its engine is not installed"}
    assert reason("onnx-int8", VARIANTS, AVX2, failures=failures) == (
        "fastest of 5 that works on x86-64 with AVX2 (openvino-int8: its engine is not installed)"
    )
    ungated = one | {"onnx-int8": _variant("onnx", "int8", gated=False)}
    assert reason("onnx-fp32", ungated, AVX2, failures={}) == (
        "fastest of 2 on x86-64 with AVX2 (onnx-int8: passed no gate)"
    )
