from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mlapi.engines import openvino as openvino_engine
from mlapi.engines.openvino import OpenVinoEngine, import_openvino
from mlapi.engines.packing import Packing, pack_batch
from mlapi.errors import ModelError, VariantUnavailable
from mlapi.ports import SharedEngine
from tests.support.model_directory import GOLDEN_TEXTS, TinyModel, make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTER = Path(__file__).parents[3] / "models" / "starter" / "onnx" / "model.int8.onnx"
TEXTS = [*GOLDEN_TEXTS, "i love this lovely movie and the music", "not very good", "x"]


@pytest.fixture
def tiny(tmp_path: Path) -> TinyModel:
    """Return a model directory of the test's own."""
    return make_tiny_model(tmp_path / "model")


def _graph(tiny: TinyModel) -> Path:
    return tiny.path / "onnx" / "onnx-fp32.onnx"


def _rename(path: Path, old: str, new: str) -> None:
    """Rename an input or output of a graph, and its uses."""
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        value.name = new if value.name == old else value.name
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    onnx.save(model, str(path))


def _add_input(path: Path, name: str) -> None:
    model = onnx.load(str(path))
    model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]))
    if name == "token_type_ids":  # make the answer depend on it: token types are added to the mask
        cast = next(node for node in model.graph.node if node.op_type == "Cast")
        cast.input[0] = "kept_types"
        model.graph.node.insert(0, helper.make_node("Add", ["attention_mask", name], ["kept_types"]))
    onnx.save(model, str(path))


def test_single_texts_give_the_logits_computed_by_hand(tiny: TinyModel) -> None:
    """If it fails, the engine feeds the graph something else than the ids, or returns something else."""
    engine = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    for text in TEXTS:
        logits = engine.infer([tiny.ids(text)])
        assert logits.shape == (1, 2)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits[0], tiny.logits(text), atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_batch_gives_what_single_texts_give(tiny: TinyModel, threads: int) -> None:
    """If it fails, a text's answer depends on the texts it is batched with."""
    engine = OpenVinoEngine(_graph(tiny), threads=threads, pad_id=0)
    batch = [tiny.ids(text) for text in TEXTS]
    single = np.concatenate([engine.infer([ids]) for ids in batch])
    np.testing.assert_allclose(engine.infer(batch), single, atol=1e-5)
    np.testing.assert_allclose(engine.infer(batch[::-1]), single[::-1], atol=1e-5)


def test_padding_id_does_not_reach_the_answer(tiny: TinyModel) -> None:
    """If it fails, padding is not masked."""
    batch = [tiny.ids(text) for text in TEXTS]
    first, second = (OpenVinoEngine(_graph(tiny), threads=1, pad_id=pad_id).infer(batch) for pad_id in (0, 7))
    np.testing.assert_array_equal(first, second)


def test_graph_with_token_types_is_fed_zeros(tiny: TinyModel) -> None:
    """If it fails, BERT exports, which have a third input, cannot be served, or see a second segment."""
    expected = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0).infer([tiny.ids(text) for text in TEXTS])
    _add_input(_graph(tiny), "token_type_ids")
    engine = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    np.testing.assert_array_equal(engine.infer([tiny.ids(text) for text in TEXTS]), expected)


@pytest.mark.parametrize("missing", ["input_ids", "attention_mask"])
def test_graph_without_an_input_is_refused(tiny: TinyModel, missing: str) -> None:
    """If it fails, a graph of another kind is found out by the first request instead of at the start."""
    _rename(_graph(tiny), missing, "pixels")
    with pytest.raises(ModelError) as caught:
        OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    present = ({"input_ids", "attention_mask", "pixels"} - {missing}) - {"pixels"}
    assert str(caught.value) == (
        f"{_graph(tiny)} takes {', '.join(sorted({*present, 'pixels'}))}, not input_ids and attention_mask"
    )


def test_graph_with_a_further_input_is_refused(tiny: TinyModel) -> None:
    """If it fails, a graph that needs more than a text is found out by the first request."""
    _add_input(_graph(tiny), "position_ids")
    with pytest.raises(ModelError, match="takes attention_mask, input_ids, position_ids"):
        OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)


def test_graph_without_logits_is_refused(tiny: TinyModel) -> None:
    """If it fails, a graph with another output is found out by the first request."""
    _rename(_graph(tiny), "logits", "last_hidden_state")
    with pytest.raises(ModelError, match="gives last_hidden_state, not logits"):
        OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x09" * 50])
def test_corrupt_graph_is_named(tiny: TinyModel, content: bytes) -> None:
    """If it fails, a damaged graph ends in an exception of the runtime's own, without advice."""
    _graph(tiny).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    assert str(caught.value) == f"{_graph(tiny)} cannot be loaded by OpenVINO; export the model anew"


def test_cut_off_graph_is_named(tiny: TinyModel) -> None:
    """If it fails, an interrupted copy of a graph is loaded, or crashes the process."""
    _graph(tiny).write_bytes(_graph(tiny).read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded by OpenVINO"):
        OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)


def test_missing_graph_is_named(tmp_path: Path) -> None:
    """If it fails, a missing graph ends in an exception of the runtime's own."""
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be loaded"):
        OpenVinoEngine(tmp_path / "gone.onnx", threads=1, pad_id=0)


def test_empty_batch_raises_and_leaves_the_engine_alive(tiny: TinyModel) -> None:
    """If it fails, one call that makes no sense ends the service."""
    engine = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    with pytest.raises(ValueError, match="empty"):
        engine.infer([])
    assert engine.infer([tiny.ids("film")]).shape == (1, 2)


def test_logits_are_the_callers_own(tiny: TinyModel) -> None:
    """If it fails, an answer changes when the next batch runs, because both lie in the runtime's memory."""
    engine = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    first = engine.infer([tiny.ids("a great film")])
    kept = first.copy()
    engine.infer([tiny.ids("a dull film")])
    np.testing.assert_array_equal(first, kept)


def test_engine_may_be_used_in_another_thread_than_the_one_that_made_it(tiny: TinyModel) -> None:
    """If it fails, what the loading thread has made cannot be used by the engine's thread."""
    engine = OpenVinoEngine(_graph(tiny), threads=2, pad_id=0)
    with ThreadPoolExecutor(1) as pool:
        logits = pool.submit(engine.infer, [tiny.ids("a great film")]).result()
    np.testing.assert_allclose(logits[0], tiny.logits("a great film"), atol=1e-5)


def test_many_shapes_give_right_answers(tiny: TinyModel) -> None:
    """If it fails, kernels prepared for one shape of batch are used for another."""
    engine = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    for words in range(1, 30):
        text = "film " * words
        for texts in (1, 3):
            logits = engine.infer([tiny.ids(text)] * texts)
            np.testing.assert_allclose(logits, [tiny.logits(text)] * texts, atol=1e-5)


def test_close_releases_the_compiled_graph(tiny: TinyModel) -> None:
    """If it fails, a closed engine keeps its memory, or goes on answering."""
    engine = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)
    engine.close()
    with pytest.raises(AttributeError):
        engine.infer([[2, 3]])


def test_nothing_that_reports_is_imported(tiny: TinyModel) -> None:
    """If it fails, every start of the service hands an event to what can send it to the runtime's maker."""
    OpenVinoEngine(_graph(tiny), threads=1, pad_id=0).close()
    assert sys.modules["openvino_telemetry"] is None
    assert not any(name.startswith(("openvino_telemetry.", "openvino.tools.ovc.")) for name in sys.modules)


def test_missing_library_is_named(tiny: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, an install without openvino ends in a traceback, or auto does not pass on."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(VariantUnavailable, match="pip install openvino"):
        OpenVinoEngine(_graph(tiny), threads=1, pad_id=0)


def test_second_start_takes_the_compiled_graph(tiny: TinyModel, tmp_path: Path) -> None:
    """If it fails, compiled graphs are kept and never used, or used and give other answers."""
    cache, batch = tmp_path / "cache", [tiny.ids(text) for text in TEXTS]
    first = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0, cache_dir=cache)
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    second = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0, cache_dir=cache)
    np.testing.assert_array_equal(first.infer(batch), second.infer(batch))
    assert [path.stat().st_mtime_ns for path in cache.iterdir()] == [written]
    # A graph that cannot be compiled any more shows that the compiled one is what was loaded.
    with _without_compiler():
        OpenVinoEngine(_graph(tiny), threads=1, pad_id=0, cache_dir=cache).close()


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Have every compilation fail for a while."""
    core = import_openvino().Core

    def refuse(*_: object) -> None:
        raise AssertionError("a graph was compiled")

    original, core.compile_model = core.compile_model, refuse
    try:
        yield
    finally:
        core.compile_model = original


def test_other_model_of_the_same_path_is_compiled_anew(tiny: TinyModel, tmp_path: Path) -> None:
    """If it fails, a new model under an old path gives the old one's answers."""
    cache = tmp_path / "cache"
    OpenVinoEngine(_graph(tiny), threads=1, pad_id=0, cache_dir=cache).close()
    other = make_tiny_model(tiny.path, seed=7)
    engine = OpenVinoEngine(_graph(other), threads=1, pad_id=0, cache_dir=cache)
    np.testing.assert_allclose(engine.infer([other.ids("film")])[0], other.logits("film"), atol=1e-5)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_damaged_compiled_graph_is_made_anew(
    tiny: TinyModel, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If it fails, a disk error in the cache stops the service, or changes its answers."""
    cache = tmp_path / "cache"
    OpenVinoEngine(_graph(tiny), threads=1, pad_id=0, cache_dir=cache).close()
    (file,) = cache.iterdir()
    content = file.read_bytes()
    foreign = b"some other program's file"
    file.write_bytes(
        {
            "cut": content[: len(content) // 2],
            "flipped": content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
            "empty": b"",
            # Whole, as far as the digest can tell: the runtime itself refuses it.
            "foreign": hashlib.sha256(foreign).digest() + foreign,
        }[damage]
    )
    engine = OpenVinoEngine(_graph(tiny), threads=1, pad_id=0, cache_dir=cache)
    np.testing.assert_allclose(engine.infer([tiny.ids("film")])[0], tiny.logits("film"), atol=1e-5)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "will be made anew" in message
    caplog.clear()
    OpenVinoEngine(_graph(tiny), threads=1, pad_id=0, cache_dir=cache).close()
    assert not caplog.records


DROPPED_ELSEWHERE = """
import os, signal, sys, threading
from pathlib import Path
from mlapi.engines.openvino import OpenVinoEngine
engines = [OpenVinoEngine(Path(sys.argv[1]), threads=1, pad_id=0)]
thread = threading.Thread(target=engines.clear)
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("told"))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_after_an_engine_was_dropped_by_another_thread(tiny: TinyModel) -> None:
    """If it fails, a process that let go of a model dies of its next signal, instead of obeying it."""
    done = subprocess.run(
        [sys.executable, "-c", DROPPED_ELSEWHERE, str(_graph(tiny))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr


@pytest.mark.parametrize(("threads", "calls"), [(1, 1), (2, 2), (4, 4), (5, 5), (6, 3), (7, 7), (16, 4)])
def test_threads_are_shared_out_among_a_few_calls(tiny: TinyModel, threads: int, calls: int) -> None:
    """If it fails, cores idle under load; or a large machine's batches are as small as they are many."""
    engine = OpenVinoEngine(_graph(tiny), threads=threads, pad_id=0)
    assert engine.calls == calls
    assert isinstance(engine, SharedEngine)


def test_calls_beside_each_other_give_the_bits_of_a_call_alone() -> None:
    """If it fails, a text's score depends on how busy the service was, or on what another thread asked."""
    engine = OpenVinoEngine(STARTER, threads=2, pad_id=0)
    rng = np.random.default_rng(3)
    lengths = [1, 2, 7, 15, 16, 17, 40, 64, 128]
    batches = [[rng.integers(5, 1000, length).tolist()] * texts for length in lengths for texts in (1, 3)]
    alone = [engine.infer(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:  # more than there are calls: the rest wait
        for _ in range(3):
            beside = list(pool.map(engine.infer_beside, batches))
            for first, second in zip(alone, beside, strict=True):
                np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("threads", "rows"), [(2, [16, 20, 20, 20, 28, 28, 40, 12]), (1, [16, 20, 16, 20, 28, 20, 40, 12])]
)
def test_rows_keep_their_size_for_several_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, rows: list[int]
) -> None:
    """If it fails, texts of ever other lengths take a fifth longer; or keeping a size changes answers."""
    seen: list[int] = []

    def packed(*arguments: Any, **named: Any) -> Packing:
        packing = pack_batch(*arguments, **named)
        seen.append(len(packing.tokens))
        return packing

    monkeypatch.setattr(openvino_engine, "pack_batch", packed)
    engine = OpenVinoEngine(STARTER, threads=threads, pad_id=0)
    rng = np.random.default_rng(4)
    texts = [rng.integers(5, 1000, length).tolist() for length in (14, 18, 13, 17, 25, 20, 40, 10)]
    kept = [engine.infer([ids]) for ids in texts]
    assert seen == rows
    for ids, logits in zip(texts, kept, strict=True):
        np.testing.assert_array_equal(logits, engine.infer_beside([ids]))


@pytest.mark.parametrize(("threads", "graphs"), [(1, 1), (2, 2), (4, 2)])
def test_calls_beside_each_other_share_a_graph(
    tiny: TinyModel, monkeypatch: pytest.MonkeyPatch, *, threads: int, graphs: int
) -> None:
    """If it fails, each call reads weights of its own, for which a CPU's cache has no room."""
    compiled = []
    compile_one = openvino_engine._compile

    def count(*arguments: Any) -> Any:
        compiled.append(compile_one(*arguments))
        return compiled[-1]

    monkeypatch.setattr(openvino_engine, "_compile", count)
    OpenVinoEngine(_graph(tiny), threads=threads, pad_id=0)
    assert len(compiled) == graphs


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads /proc")
def test_the_threads_that_compute_are_found_while_others_work() -> None:
    """If it fails, other threads get the CPUs, or none, and a tenth of what the service could do is lost."""
    engine = OpenVinoEngine(STARTER, threads=2, pad_id=0)
    found = engine.find_threads()
    assert len(found) == 2
    assert found.isdisjoint(thread.native_id for thread in threading.enumerate())
    stop = threading.Event()
    other = threading.Thread(target=_hash_until, args=(stop,))
    other.start()
    try:
        assert engine.find_threads() == found
    finally:
        stop.set()
        other.join()


def _hash_until(stop: threading.Event) -> None:
    while not stop.is_set():
        hashlib.pbkdf2_hmac("sha256", b"key", b"salt", 10_000)


def test_with_one_thread_nothing_computes_beside_and_nothing_is_found() -> None:
    """If it fails, the thread that makes a call, whichever that is, is bound to a CPU."""
    assert OpenVinoEngine(STARTER, threads=1, pad_id=0).find_threads() == frozenset()


def test_a_call_that_fails_gives_its_place_back(tiny: TinyModel) -> None:
    """If it fails, two bad calls leave nobody to answer, and the service hangs."""
    engine = OpenVinoEngine(_graph(tiny), threads=2, pad_id=0)
    for _ in range(5):
        with pytest.raises(ValueError, match="empty"):
            engine.infer_beside([])
    np.testing.assert_allclose(engine.infer_beside([tiny.ids("film")])[0], tiny.logits("film"), atol=1e-5)


def test_both_ways_of_one_start_are_compiled_from_the_cache(tiny: TinyModel, tmp_path: Path) -> None:
    """If it fails, the second way is compiled at each start, or the first one's file taken for it."""
    cache = tmp_path / "cache"
    OpenVinoEngine(_graph(tiny), threads=2, pad_id=0, cache_dir=cache).close()
    assert len(list(cache.iterdir())) == 2
    with _without_compiler():
        engine = OpenVinoEngine(_graph(tiny), threads=2, pad_id=0, cache_dir=cache)
    for infer in (engine.infer, engine.infer_beside):
        np.testing.assert_allclose(infer([tiny.ids("film")])[0], tiny.logits("film"), atol=1e-5)
