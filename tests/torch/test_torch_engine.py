from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.engines.torch import TorchEngine
from mlapi.errors import ModelError
from tests.support import random_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DistilBERT with three labels, as transformers saves it."""
    path = tmp_path_factory.mktemp("torch") / "saved"
    random_models.make_model(random_models.TINY, labels=("one", "two", "three")).save_pretrained(path)
    return path


@pytest.fixture
def directory(saved: Path, tmp_path: Path) -> Path:
    """A copy of it that the test may spoil."""
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def _threads() -> Iterator[None]:
    """Give torch its number of threads back."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads")
def test_logits_are_float32_with_a_row_per_text(directory: Path) -> None:
    """If it fails, the classifier refuses every answer of the torch engine."""
    engine = TorchEngine(directory, threads=1, pad_id=0)
    logits = engine.infer([[2, 7, 9, 3], [2, 3]])
    assert logits.shape == (2, 3)
    assert logits.dtype == np.float32
    assert engine.name == "torch"


@pytest.mark.usefixtures("_threads")
def test_model_is_in_evaluation_mode_and_answers_twice_the_same(directory: Path) -> None:
    """If it fails, dropout is on, and every answer is a little random."""
    engine = TorchEngine(directory, threads=1, pad_id=0)
    batch = [[2, *range(10, 60), 3]]
    np.testing.assert_array_equal(engine.infer(batch), engine.infer(batch))


@pytest.mark.usefixtures("_threads")
def test_padding_id_does_not_reach_the_answer(directory: Path) -> None:
    """If it fails, padding is not masked."""
    batch = [[2, 3], [2, *range(10, 30), 3]]
    first, second = (TorchEngine(directory, threads=1, pad_id=pad_id).infer(batch) for pad_id in (0, 9))
    np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.usefixtures("_threads")
def test_half_precision_weights_are_run_in_float32(directory: Path) -> None:
    """If it fails, a model saved in half precision is served with a half's rounding."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float16)
    model.save_pretrained(directory)
    engine = TorchEngine(directory, threads=1, pad_id=0)
    assert engine.infer([[2, 3]]).dtype == np.float32
    assert {parameter.dtype for parameter in engine._model.parameters()} == {torch.float32}


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_set(directory: Path, threads: int) -> None:
    """If it fails, torch takes all of a machine's cores where the container has one, and is throttled."""
    import torch

    TorchEngine(directory, threads=threads, pad_id=0)
    assert torch.get_num_threads() == threads


@pytest.mark.usefixtures("_threads")
def test_no_gradient_is_kept(directory: Path) -> None:
    """If it fails, every call keeps its activations, and memory grows with the batch."""
    engine = TorchEngine(directory, threads=1, pad_id=0)
    engine.infer([[2, 3]])
    assert all(parameter.grad is None for parameter in engine._model.parameters())


@pytest.mark.usefixtures("_threads")
def test_close_drops_the_model(directory: Path) -> None:
    """If it fails, a closed engine keeps its weights in memory, or goes on answering."""
    engine = TorchEngine(directory, threads=1, pad_id=0)
    engine.close()
    with pytest.raises(AttributeError):
        engine.infer([[2, 3]])


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_missing_file_is_a_model_error(directory: Path, name: str) -> None:
    """If it fails, an incomplete directory ends in transformers' own exception, or in a look-up on a hub."""
    (directory / name).unlink()
    with pytest.raises(ModelError) as caught:
        TorchEngine(directory, threads=1, pad_id=0)
    assert str(caught.value) == f"{directory} cannot be loaded by transformers; make it anew"


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_damaged_file_is_a_model_error(directory: Path, name: str) -> None:
    """If it fails, a damaged directory ends in an exception that names no directory and gives no advice."""
    (directory / name).write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be loaded by transformers"):
        TorchEngine(directory, threads=1, pad_id=0)


@pytest.mark.usefixtures("_threads")
def test_pickled_weights_are_not_loaded(directory: Path) -> None:
    """If it fails, a model directory can run code of its own when it is loaded."""
    import torch

    (directory / "model.safetensors").unlink()
    torch.save({}, directory / "pytorch_model.bin")
    with pytest.raises(ModelError):
        TorchEngine(directory, threads=1, pad_id=0)


@pytest.mark.usefixtures("_threads")
def test_unknown_architecture_is_a_model_error(directory: Path) -> None:
    """If it fails, a model that transformers does not know ends in its own exception, or runs its code."""
    config = json.loads((directory / "config.json").read_bytes())
    config["model_type"] = "unheard-of"
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError):
        TorchEngine(directory, threads=1, pad_id=0)


@pytest.mark.usefixtures("_threads")
def test_token_outside_the_vocabulary_raises(directory: Path) -> None:
    """If it fails, a tokenizer that does not belong to the model gives answers instead of an error."""
    engine = TorchEngine(directory, threads=1, pad_id=0)
    with pytest.raises(IndexError):
        engine.infer([[2, 10**6, 3]])
    assert engine.infer([[2, 3]]).shape == (1, 3)
