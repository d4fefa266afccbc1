"""The `openvino` engine: OpenVINO on the CPU, from an ONNX graph in float32 or int8."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache, partial
from importlib import import_module
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from mlapi.engines.beside import run_beside
from mlapi.engines.busy_threads import busy_threads
from mlapi.engines.compiled import CompiledCache
from mlapi.engines.packing import KeptRow, pack_batch, row_size
from mlapi.engines.padding import pad_batch
from mlapi.engines.unpadding import ANSWERED, ASKED, FIRST, OWN, PLACES, TOKENS, VERSION, unpad
from mlapi.errors import ModelError, VariantUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

DEVICE = "CPU"

CACHED_KERNELS = 512
"""Kernels that OpenVINO, and oneDNN below it, each keep.

Both prepare kernels for every shape of batch (about ten of them, 3 to 4 MB in all for a full-size DistilBERT)
and by default keep thousands, so that a server, which sees a new shape every few batches, grows beyond 1.3 GB
within 300 of them. With this many, the lengths of single texts stay prepared. What was dropped is prepared
again within the call, for 5 to 20 ms. Each of several calls keeps half as many, since each keeps its own.
"""

PADDED_TO = 16
"""Batches are padded to a multiple of so many tokens, so that a text scores the same in each of them.

In other lengths the fused attention adds in another order. The difference of 1e-7 makes int8 activations
round the other way now and then, and a text's score then depends on what it shares a batch with (ADR 15).
"""


def import_openvino() -> ModuleType:
    """Import openvino in a way that nothing is reported to anyone.

    As it comes, `import openvino` hands an event to `openvino_telemetry`, which can send it to its maker.
    That is done by its model converter, which nothing here needs. Neither can be imported after this, which
    openvino, and NNCF, take for "not installed".

    Raises:
        VariantUnavailable: openvino is not installed.
    """
    if "openvino" not in sys.modules:
        for name in ("openvino_telemetry", "openvino.tools.ovc"):
            # Python's own way to bar a module.
            sys.modules[name] = None  # type: ignore[assignment]
        os.putenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(CACHED_KERNELS))
    try:
        return import_module("openvino")
    except ImportError as error:
        raise VariantUnavailable(
            "the openvino engine needs openvino, which could not be imported "
            f"({type(error).__name__}): run pip install openvino, or choose another variant"
        ) from error


def shared_core() -> Any:
    """Return the process's `openvino.Core`, which is kept for good.

    The plugin for CPUs gives a signal stack to the thread that makes it, and frees that stack in whichever
    thread drops it (OpenVINO 2026.4). Where those are two, the next signal ends the process (SIGSEGV).

    Raises:
        VariantUnavailable: openvino is not installed.
    """
    return _core_of(import_openvino())


@cache
def _core_of(openvino: ModuleType) -> Any:
    return openvino.Core()


FINDING_TEXTS, FINDING_CALLS, FINDING_TRIES = 4, 8, 3
"""By how many texts, in how many calls of each request, and how often it is tried to find the threads."""


MAX_CALLS = 4
"""Most calls beside each other, where the threads can be shared out evenly among so many."""


class OpenVinoEngine:
    """Runs one ONNX graph with inputs `input_ids` and `attention_mask`, output `logits`.

    The threads of a call wait for each other at each step. So the graph is compiled in two ways: with all
    threads in one call, which answers a text that comes alone soonest, and with the threads shared out among
    several calls, which get more done and do not all stand still when something else takes a core (ADR 25).
    The runtime then makes each call in a thread of its own, with weights that all of them read (ADR 30).

    Attributes:
        calls: How many calls of `infer_beside` may run at a time.
    """

    name = "openvino"

    def __init__(self, path: Path, *, threads: int, pad_id: int, cache_dir: Path | None = None) -> None:
        """Load and compile the graph.

        Args:
            path: The `.onnx` file.
            threads: Threads for all calls together.
            pad_id: Token id to pad with; masked, so its value does not reach the answer.
            cache_dir: Where compiled graphs are kept between starts; they are trusted as the model itself.

        Raises:
            VariantUnavailable: openvino is not installed.
            ModelError: OpenVINO cannot load the graph, or its inputs or outputs are not as said above.
        """
        core = shared_core()
        self.calls = _calls(threads)
        try:
            read = _once(partial(_read, core, path))
            compiled, *shared = run_beside(
                lambda calls: _compile(core, path, read, _options(threads, calls=calls), cache_dir),
                [1, self.calls] if self.calls > 1 else [1],
            )
        except Exception as error:  # whatever the runtime raises
            raise ModelError(f"{path} cannot be loaded by OpenVINO; export the model anew") from error
        names = {node.any_name for node in compiled.inputs}
        self._unpadded = names >= OWN
        if self._unpadded:
            names -= OWN
        else:
            logger.info("the graph of %s has a form of its own: it runs with padding", path.name)
        if not {"input_ids", "attention_mask"} <= names <= {"input_ids", "attention_mask", "token_type_ids"}:
            raise ModelError(f"{path} takes {', '.join(sorted(names))}, not input_ids and attention_mask")
        if "logits" not in (outputs := [node.any_name for node in compiled.outputs]):
            raise ModelError(f"{path} gives {', '.join(outputs)}, not logits")
        self._request = compiled.create_infer_request()
        self._beside = [graph.create_infer_request() for graph in shared for _ in range(self.calls)]
        self._free: SimpleQueue[Any] = SimpleQueue()
        for request in self._beside or [self._request]:
            self._free.put(request)
        self._wants_token_types = "token_type_ids" in names
        self._pad_id = pad_id
        self._row_size = KeptRow().size if threads > 1 else row_size

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return logits of shape (len(batch), labels), computed with all threads; one call at a time.

        Several threads take a fifth longer for a short text whose row has another size than the last, so rows
        keep their size where that costs less, which it does not with one thread (ADR 29).
        """
        return self._run(self._request, self._feeds(batch, self._row_size), texts=len(batch))

    def infer_beside(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the same, computed with a call's share of the threads; waits where `calls` are running."""
        request = self._free.get()
        try:
            return self._run(request, self._feeds(batch, row_size), texts=len(batch))
        finally:
            self._free.put(request)

    def find_threads(self) -> frozenset[int]:
        """Return in which threads `infer_beside` computes, by the kernel's ids; none if that cannot be told.

        They take calls from one queue, so any of them may take any call. No other call may run meanwhile.
        """
        if not self._beside:
            return frozenset()
        feeds = self._feeds([[self._pad_id] * PADDED_TO] * FINDING_TEXTS, row_size)

        def work() -> None:
            for _ in range(FINDING_CALLS):
                for request in self._beside:
                    request.start_async(feeds, share_inputs=True)
                for request in self._beside:
                    request.wait()

        tries = (busy_threads(work, count=self.calls) for _ in range(FINDING_TRIES))
        return next(filter(None, tries), frozenset())

    def _run(self, request: Any, feeds: dict[str, NDArray[np.int64]], *, texts: int) -> NDArray[np.float32]:
        # The arrays live until the call returns, so the runtime may read them in place.
        request.infer(feeds, share_inputs=True, share_outputs=True)
        # The next call writes over its own output.
        logits: NDArray[np.float32] = request.get_tensor("logits").data[:texts].copy()
        return logits

    def _feeds(
        self, batch: Sequence[Sequence[int]], size: Callable[[int], int]
    ) -> dict[str, NDArray[np.int64]]:
        if self._unpadded:
            packing = pack_batch(batch, pad_id=self._pad_id, multiple=PADDED_TO, size=size)
            feeds = {
                "input_ids": packing.input_ids,
                "attention_mask": packing.attention_mask,
                TOKENS: packing.tokens,
                PLACES: packing.places,
                FIRST: packing.first,
                ASKED: packing.asked,
                ANSWERED: packing.answered,
            }
        else:
            input_ids, attention_mask = pad_batch(batch, pad_id=self._pad_id, multiple=PADDED_TO)
            feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self._wants_token_types:
            feeds["token_type_ids"] = np.zeros_like(feeds["input_ids"])
        return feeds

    def close(self) -> None:
        """Drop the compiled graph; OpenVINO frees its memory with it."""
        del self._request, self._beside, self._free


def _calls(threads: int) -> int:
    """Return among how many calls to share threads out: OpenVINO gives each the same number of them."""
    return next((calls for calls in range(MAX_CALLS, 1, -1) if threads % calls == 0), threads)


def _options(threads: int, *, calls: int) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": calls,
        "INFERENCE_NUM_THREADS": threads,
        # Workers and neighbours share the CPUs; threads that are pinned would stand in each other's way.
        "ENABLE_CPU_PINNING": False,
        # The default computes in bfloat16 where the CPU can, with other answers on other machines.
        "INFERENCE_PRECISION_HINT": "f32",
        "CPU_RUNTIME_CACHE_CAPACITY": CACHED_KERNELS if calls == 1 else CACHED_KERNELS // 2,
    }


def _compile(
    core: Any, path: Path, read: Callable[[], Any], options: dict[str, Any], cache_dir: Path | None
) -> Any:
    """Return the compiled graph, from the cache where it is there, and see to it that it is there then."""
    if cache_dir is None:
        return core.compile_model(read(), DEVICE, options)
    version = core.get_versions(DEVICE)[DEVICE].build_number
    cpu = [core.get_property(DEVICE, key) for key in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    kept = CompiledCache(
        cache_dir, graph=path, made_by=repr((version, cpu, sorted(options.items()), VERSION))
    )
    if (blob := kept.read()) is not None:
        try:
            return core.import_model(blob, DEVICE, options)
        except Exception as error:  # noqa: BLE001 - whatever the runtime raises, the graph itself is there
            kept.distrust(error)
    compiled = core.compile_model(read(), DEVICE, options)
    kept.write(compiled.export_model)
    return compiled


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    """Return a function that makes an `openvino.Model` at its first call, and returns a clone of it at each.

    Clones share their weights, and so does what is compiled from them, where OpenVINO takes them as they are.
    """
    lock, made = Lock(), cache(make)

    def clone() -> Any:
        with lock:
            return made().clone()

    return clone


def _read(core: Any, path: Path) -> Any:
    """Return the graph, without padding where its form is known."""
    model = core.read_model(path)
    import_module("openvino.opset13")
    unpadded = unpad(model, import_openvino())
    return model if unpadded is None else unpadded
