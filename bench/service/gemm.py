"""The integer GEMM ceiling: products of int8 matrices alone, by the library that runs the model.

Each is an OpenVINO model of one MatMul whose inputs are quantised to eight bits, with the settings of the
engine. That it is computed in integers is looked up in the compiled graph and not taken for granted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.service.operations import GIGA

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

INTEGERS = ("u8", "i8")
LEVELS = 256
CALLS = 10


@dataclass(frozen=True, slots=True)
class Gemm:
    """A product of an activation (rows x inner) with a weight (inner x columns)."""

    rows: int
    inner: int
    columns: int

    def __str__(self) -> str:
        return f"{self.rows} x {self.inner} x {self.columns}"

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns


def gemms(*, width: int, hidden: int) -> tuple[Gemm, ...]:
    """Return the products of a 32x32 batch in the model's layers, and larger ones."""
    rows = 1024
    own = (Gemm(rows, width, width), Gemm(rows, width, hidden), Gemm(rows, hidden, width))
    return (*own, Gemm(rows, 4 * width, 4 * width), Gemm(4 * rows, width, hidden))


class FloatError(Exception):
    """The product would be computed in floating point: this library has no integer kernel for this CPU."""


def make_gemm(threads: int) -> Callable[[Gemm], float]:
    """Return what measures a product: 10^9 operations per second, the median of some calls."""
    requests: dict[Gemm, tuple[Any, NDArray[np.float32]]] = {}

    def run(gemm: Gemm) -> float:
        if gemm not in requests:
            values = np.random.default_rng(0).random((gemm.rows, gemm.inner), dtype=np.float32)
            requests[gemm] = (_compile(gemm, threads).create_infer_request(), values)
            requests[gemm][0].infer({0: values})  # the first call prepares kernels
        request, values = requests[gemm]
        seconds = []
        for _ in range(CALLS):
            started = time.perf_counter()
            request.infer({0: values}, share_inputs=True, share_outputs=True)
            seconds.append(time.perf_counter() - started)
        return gemm.operations / float(np.median(seconds)) / GIGA

    return run


def _compile(gemm: Gemm, threads: int) -> Any:
    from mlapi.engines.openvino import DEVICE, shared_core

    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = shared_core().compile_model(_model(gemm), DEVICE, options)
    products = [
        node.get_rt_info()["runtimePrecision"].value
        for node in compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].value in {"FullyConnected", "MatMul"}
    ]
    if len(products) != 1 or products[0] not in INTEGERS:
        raise FloatError(f"OpenVINO computes {gemm} in {', '.join(products) or 'no product at all'}")
    return compiled


def _model(gemm: Gemm) -> Any:
    import openvino
    from openvino import opset13

    weights = np.random.default_rng(1).integers(-127, 128, (gemm.columns, gemm.inner)).astype(np.int8)
    scales = opset13.constant(np.full((gemm.columns, 1), 0.01, dtype=np.float32))
    real = opset13.multiply(opset13.convert(opset13.constant(weights), "f32"), scales)
    given = opset13.parameter([gemm.rows, gemm.inner], np.float32)
    low, high = np.float32(0), np.float32(1)
    quantised = opset13.fake_quantize(given, low, high, low, high, LEVELS)
    return openvino.Model([opset13.matmul(quantised, real, False, True)], [given], "gemm")  # noqa: FBT003 - its order
