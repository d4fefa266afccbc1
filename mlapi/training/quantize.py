"""From a float32 ONNX graph to an int8 one that both engines run: NNCF's post-training quantisation.

Weights take seven bits (docs/adr/0016-seven-bit-weights.md), activations eight with static scales, so that
a text's answer does not depend on what it is batched with (docs/adr/0015-one-int8-graph-for-two-engines.md).
What is multiplied without weights stays in float32: attention.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from mlapi.errors import ModelError
from mlapi.training.graph import (
    dequantize_after_gather,
    drop_unused,
    float_weights,
    input_names,
    products_without_weights,
    save_graph,
    strip,
    unsigned_activations,
)
from mlapi.training.quiet import quiet
from mlapi.training.sensitivity import deviation, probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

SAMPLES = 300
"""Most texts that scales are drawn from; more of them take longer and change little."""

Feeds = dict[str, "NDArray[np.int64]"]


def quantize(graph: Path, path: Path, samples: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Quantise a graph and write the result.

    Args:
        graph: The float32 graph, as `mlapi.training.export` writes it.
        path: The file to write.
        samples: Token ids of texts that are like those to come, special tokens included, unpadded.

    Returns:
        The matrices that stayed in float32.

    Raises:
        ModelError: The quantiser cannot deal with this graph.
    """
    proto = Quantizer(graph, samples).quantized()
    save_graph(proto, path)
    return float_weights(proto)


class Quantizer:
    """Quantises one graph in different ways, with the same samples."""

    def __init__(self, graph: Path, samples: Sequence[Sequence[int]]) -> None:
        """Read the graph and pick the samples.

        Args:
            graph: The float32 graph.
            samples: See `quantize`; at most `SAMPLES` of them, evenly spread, are used.
        """
        import onnx

        self.original: onnx.ModelProto = onnx.load(graph)
        self._attention = products_without_weights(self.original)
        names = input_names(self.original)
        places = np.linspace(0, len(samples) - 1, num=min(SAMPLES, len(samples))).round().astype(int)
        self.feeds = [feeds_of(samples[place], names) for place in places.tolist()]

    def quantized(self, *, smooth: bool = True, keep: Sequence[str] = ()) -> onnx.ModelProto:
        """Return an int8 graph.

        Args:
            smooth: Whether to move the range of activations into the weights first (SmoothQuant, Xiao et al.
                2023).
            keep: Names of further nodes to leave in float32, beside the products of attention.

        Raises:
            ModelError: The quantiser cannot deal with this graph.
        """
        with _nncf() as nncf:
            return self._finished(
                lambda: nncf.quantize(
                    self._copy(),
                    nncf.Dataset(self.feeds),
                    subset_size=len(self.feeds),
                    model_type=nncf.ModelType.TRANSFORMER,
                    ignored_scope=nncf.IgnoredScope(names=[*self._attention, *keep]),
                    advanced_parameters=_parameters(nncf, smooth=smooth),
                )
            )

    def controlled(
        self,
        feeds: Sequence[Feeds],
        reference: Sequence[NDArray[np.float32]],
        *,
        largest_drop: float,
    ) -> onnx.ModelProto:
        """Return an int8 graph in which NNCF put back what moved the answers most, without SmoothQuant.

        (With it, NNCF 3.4 puts weights back as they were before smoothing, and the answers are noise.)

        Args:
            feeds: Inputs of some texts, on which that is measured.
            reference: For each, the float32 probabilities, shape (1, labels).
            largest_drop: Largest mean deviation of a sample's probabilities that is left standing.

        Raises:
            ModelError: The quantiser cannot deal with this graph.
        """
        items = list(zip(feeds, reference, strict=True))
        with _nncf() as nncf:
            return self._finished(
                lambda: nncf.quantize_with_accuracy_control(
                    self._copy(),
                    nncf.Dataset(self.feeds),
                    nncf.Dataset(items, lambda item: item[0]),
                    closeness,
                    max_drop=largest_drop,
                    subset_size=len(self.feeds),
                    ignored_scope=nncf.IgnoredScope(names=list(self._attention)),
                    model_type=nncf.ModelType.TRANSFORMER,
                    advanced_quantization_parameters=_parameters(nncf, smooth=False),
                    advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                        ranking_subset_size=len(items), num_ranking_workers=1
                    ),
                )
            )

    def _copy(self) -> onnx.ModelProto:
        copy: onnx.ModelProto = type(self.original)()
        copy.CopyFrom(self.original)
        return copy

    @staticmethod
    def _finished(make: Any) -> onnx.ModelProto:
        try:
            with quiet():
                proto: onnx.ModelProto = make()
        except Exception as error:  # the quantiser raises whatever the graph provokes
            raise ModelError(
                f"the graph cannot be quantised ({type(error).__name__}); leave the int8 variants out with "
                "--variants torch-fp32,onnx-fp32,openvino-fp32"
            ) from error
        dequantize_after_gather(proto)
        unsigned_activations(proto)
        drop_unused(proto)
        strip(proto)
        return proto


def feeds_of(ids: Sequence[int], names: Sequence[str]) -> Feeds:
    """Make one text the inputs of a graph with these input names."""
    input_ids = np.array([ids], dtype=np.int64)
    given = {
        "input_ids": input_ids,
        "attention_mask": np.ones_like(input_ids),
        "token_type_ids": np.zeros_like(input_ids),
    }
    return {name: given[name] for name in names}


def closeness(proto: onnx.ModelProto, items: Any) -> tuple[float, None]:
    """Return one minus the mean deviation of a graph's probabilities from the recorded ones."""
    pairs = list(items)
    given = probabilities(proto, [feeds for feeds, _ in pairs])
    return 1 - deviation(given, [expected for _, expected in pairs]), None


def _parameters(nncf: Any, *, smooth: bool) -> Any:
    parameters = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
    if not smooth:
        parameters.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(matmul=-1)
    return parameters


@contextlib.contextmanager
def _nncf() -> Iterator[Any]:
    """Import NNCF such that it reports to no one, and leaves logging as it was.

    It counts its uses through `openvino_telemetry`, and takes that package's absence as a no. It also imports
    openvino, and calls onnxruntime, which report unless they are told not to before their import.
    """
    from mlapi.engines.openvino import import_openvino

    logger_class = logging.getLoggerClass()
    os.putenv("ORT_DISABLE_TELEMETRY", "1")
    try:
        import_openvino()
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # bars it from now on
        with quiet():
            import nncf
            import onnxruntime
        onnxruntime.set_default_logger_severity(3)
        nncf.set_log_level(logging.ERROR)
        yield nncf
    except ImportError as error:
        raise ModelError(
            f"quantising needs nncf, which could not be imported ({type(error).__name__}): run pip install "
            "'mlapi[export]'"
        ) from error
    finally:
        logging.setLoggerClass(logger_class)
