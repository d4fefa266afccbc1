"""The ONNX graph and torch give the same logits: on small models, on the starter, and at full size.

One function, `check_parity`, does the comparing. That it sees what matters is shown by breaking one side on
purpose (mask, padding side, positions) and expecting it to fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest

import mlapi
from mlapi.engines.factory import load_classifier
from mlapi.engines.onnx import OnnxEngine
from mlapi.engines.padding import pad_batch
from mlapi.engines.tokenizer import FastTokenizer
from mlapi.engines.torch import TorchEngine
from tests.support import random_models
from tests.support.random_models import LONG_TEXT, TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Ids = NDArray[np.int64]
    Mutation = Callable[[Ids, Ids], tuple[Ids, Ids]]

pytestmark = pytest.mark.torch

STARTER = Path(mlapi.__file__).parents[1] / "models" / "starter"
TOLERANCE = 1e-4
"""Largest difference of a logit between two engines that compute in float32."""

THREADS = 2


class Infers(Protocol):
    """What is compared: an engine, or anything that answers like one."""

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]: ...


def check_parity(
    left: Infers,
    right: Infers,
    batches: Sequence[Sequence[Sequence[int]]],
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Run every batch through both sides.

    Raises:
        AssertionError: A logit differs by more than the tolerance, or is not finite.
    """
    assert batches
    for number, batch in enumerate(batches):
        first, second = left.infer(batch), right.infer(batch)
        assert first.shape == second.shape, f"batch {number}: {first.shape} and {second.shape}"
        deviation = float(np.abs(first - second).max())
        assert deviation <= tolerance, f"batch {number} deviates by {deviation:.2g}"


@dataclass(frozen=True)
class Subject:
    """One model under test, loaded by each engine."""

    path: Path
    tokenizer: FastTokenizer
    onnx: OnnxEngine
    torch: TorchEngine
    max_length: int

    def ids(self, *texts: str) -> list[list[int]]:
        """Tokenise as the service does."""
        return [list(encoding.payload) for encoding in self.tokenizer.encode(texts)]  # type: ignore[arg-type]

    def batches(self) -> list[list[list[int]]]:
        """Return texts alone, all together, in pairs of very different length, and at the greatest length."""
        texts = self.ids(*TEXTS)
        by_length = sorted(texts, key=len)
        (long,) = self.ids(LONG_TEXT)
        assert len(long) == self.max_length
        cls, *_, sep = texts[0]
        one_token = [[cls, token, sep] for token in texts[0][1:4]]
        return [
            *([ids] for ids in texts),
            texts,
            [by_length[0], by_length[-1]],
            [by_length[-1], by_length[0]],
            *([ids] for ids in one_token),
            [[cls], [cls, sep], *one_token],
            [long],
            [by_length[0], long],
        ]


class Mutated:
    """The torch side of a subject with one thing done wrongly."""

    def __init__(self, subject: Subject, mutation: Mutation) -> None:
        self._model = subject.torch._model
        self._mutation = mutation

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        import torch

        input_ids, attention_mask = self._mutation(*pad_batch(batch, pad_id=0))
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(input_ids), attention_mask=torch.from_numpy(attention_mask)
            )
        logits: NDArray[np.float32] = output.logits.numpy()
        return logits


class Shifted:
    """The torch side of a subject with its positions shifted by one, for as long as one call takes."""

    def __init__(self, subject: Subject) -> None:
        self._engine = subject.torch
        self._positions = subject.torch._model.distilbert.embeddings.position_embeddings.weight

    def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        import torch

        with torch.no_grad():
            right = self._positions.clone()
            self._positions.copy_(right.roll(1, dims=0))
            try:
                return self._engine.infer(batch)
            finally:
                self._positions.copy_(right)


def unchanged(input_ids: Ids, attention_mask: Ids) -> tuple[Ids, Ids]:
    """Leave all as it is: `Mutated` itself must not be what makes a check fail."""
    return input_ids, attention_mask


def mask_of_ones(input_ids: Ids, attention_mask: Ids) -> tuple[Ids, Ids]:
    """Let padding be attended to."""
    return input_ids, np.ones_like(attention_mask)


def padding_on_the_left(input_ids: Ids, attention_mask: Ids) -> tuple[Ids, Ids]:
    """Move every text to the right end of its row, mask and all."""
    rows = zip(input_ids, attention_mask, strict=True)
    moved = [(np.roll(ids, -mask.sum()), np.roll(mask, -mask.sum())) for ids, mask in rows]
    return np.stack([ids for ids, _ in moved]), np.stack([mask for _, mask in moved])


def _load(path: Path, *, max_length: int = 512) -> Subject:
    return Subject(
        path=path,
        tokenizer=FastTokenizer(path / "tokenizer.json", max_length=max_length),
        onnx=OnnxEngine(path / "onnx" / "model.onnx", threads=THREADS, pad_id=0),
        torch=TorchEngine(path, threads=THREADS, pad_id=0),
        max_length=max_length,
    )


def _random(out: Path, size: random_models.Size) -> Subject:
    """Make a random model and put it through the project's own export."""
    from mlapi.training.directory import write_transformers_directory

    model = random_models.make_model(size)
    tokenizer = random_models.make_tokenizer(size.vocabulary)
    write_transformers_directory(model, tokenizer, out, name=out.name)
    return _load(out)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A DistilBERT of 54 thousand parameters."""
    return _random(tmp_path_factory.mktemp("models") / "tiny", random_models.TINY)


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The model that the repository carries, with the float32 graph that it leaves out."""
    from mlapi.training.directory import write_transformers_directory
    from mlapi.training.incoming import read_incoming

    incoming = read_incoming(STARTER)
    out = tmp_path_factory.mktemp("models") / "starter"
    manifest = write_transformers_directory(incoming.model, incoming.tokenizer, out, name=incoming.name)
    assert manifest.max_length is not None
    return _load(out, max_length=manifest.max_length)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    """A DistilBERT of 66 million parameters, exported once a session and deleted after it."""
    import shutil

    out = tmp_path_factory.mktemp("models") / "full"
    yield _random(out, random_models.FULL)
    shutil.rmtree(out)


@pytest.fixture(params=["tiny", "starter", pytest.param("full", marks=pytest.mark.slow)])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Each of the three, one after the other."""
    loaded: Subject = request.getfixturevalue(request.param)
    return loaded


@pytest.fixture(params=["tiny", pytest.param("full", marks=pytest.mark.slow)])
def random_subject(request: pytest.FixtureRequest) -> Subject:
    """The two whose weights are random."""
    loaded: Subject = request.getfixturevalue(request.param)
    return loaded


def test_answers_differ_from_text_to_text(subject: Subject) -> None:
    """If it fails, the other tests compare constants, and pass whatever the engines do."""
    logits = np.concatenate([subject.torch.infer([ids]) for ids in subject.ids(*TEXTS)])
    assert (np.ptp(logits, axis=0) >= 1).all()


def test_order_of_words_matters(random_subject: Subject) -> None:
    """If it fails, positions do not reach the answer, and a shift of them could not be noticed."""
    first, second = random_subject.ids("good good good good bad", "bad good good good good")
    difference = random_subject.torch.infer([first]) - random_subject.torch.infer([second])
    assert np.abs(difference).max() > 100 * TOLERANCE


@pytest.mark.slow
def test_full_size_is_full_size(full: Subject) -> None:
    """If it fails, what passes here says nothing about the production model."""
    assert sum(parameter.numel() for parameter in full.torch._model.parameters()) == 66_955_010


def test_onnx_gives_what_torch_gives(subject: Subject) -> None:
    """If it fails, the engine that serves answers otherwise than the model that was trained and measured."""
    check_parity(subject.onnx, subject.torch, subject.batches())


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_batched_texts_get_the_answers_they_get_alone(subject: Subject, engine: str) -> None:
    """If it fails, a text's answer depends on the texts that happen to be in its batch."""
    infers: Infers = getattr(subject, engine)
    texts = subject.ids(*TEXTS)
    alone = np.concatenate([infers.infer([ids]) for ids in texts])
    np.testing.assert_allclose(infers.infer(texts), alone, atol=TOLERANCE, rtol=0)


def test_transformers_own_pipeline_gives_the_same_scores(subject: Subject) -> None:
    """If it fails, moving from a transformers pipeline to this service changes the answers."""
    from transformers import PreTrainedTokenizerFast, pipeline

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(subject.path / "tokenizer.json"),
        pad_token="[PAD]",
        model_max_length=subject.max_length,
        model_input_names=["input_ids", "attention_mask"],
    )
    texts = [*TEXTS, LONG_TEXT]
    pipe: Any = pipeline("text-classification", model=subject.torch._model, tokenizer=tokenizer, device="cpu")
    answers = pipe(texts, top_k=None, batch_size=2, truncation=True, padding=True)
    classifier = load_classifier(subject.path, variant="onnx-fp32", threads=THREADS)
    labels = classifier.info.labels
    theirs = [
        [{entry["label"]: entry["score"] for entry in row}[label] for label in labels] for row in answers
    ]
    ours = classifier.classify(classifier.encode(texts))
    classifier.close()
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, rtol=0)


def test_both_variants_load_and_agree_through_the_factory(tiny: Subject) -> None:
    """If it fails, the directory that the export writes cannot be served by both of its engines."""
    by_torch, by_onnx = (
        load_classifier(tiny.path, variant=name, threads=THREADS) for name in ("torch-fp32", "onnx-fp32")
    )
    assert by_torch.info.version == by_onnx.info.version
    assert by_torch.info.variant_id != by_onnx.info.variant_id
    first, second = (classifier.classify(classifier.encode(TEXTS)) for classifier in (by_torch, by_onnx))
    np.testing.assert_allclose(first, second, atol=TOLERANCE, rtol=0)


def test_mutations_start_from_a_side_that_agrees(random_subject: Subject) -> None:
    """If it fails, the mutations below are caught for a reason of their own making."""
    texts = random_subject.ids(*TEXTS)
    check_parity(random_subject.onnx, Mutated(random_subject, unchanged), [texts])


@pytest.mark.parametrize("mutation", [mask_of_ones, padding_on_the_left])
def test_wrong_mask_or_padding_side_is_caught(random_subject: Subject, mutation: Mutation) -> None:
    """If it fails, the parity check is blind to padding, and so might the engines be."""
    texts = random_subject.ids(*TEXTS)
    with pytest.raises(AssertionError, match="deviates"):
        check_parity(
            random_subject.onnx, Mutated(random_subject, mutation), [texts], tolerance=100 * TOLERANCE
        )


def test_positions_shifted_by_one_are_caught(random_subject: Subject) -> None:
    """If it fails, the parity check is blind to positions, and so might the engines be."""
    with pytest.raises(AssertionError, match="deviates"):
        check_parity(
            random_subject.onnx,
            Shifted(random_subject),
            [random_subject.ids(TEXTS[0])],
            tolerance=100 * TOLERANCE,
        )
    check_parity(
        random_subject.onnx, random_subject.torch, [random_subject.ids(TEXTS[0])]
    )  # and undone again


def test_logits_that_are_no_numbers_are_caught() -> None:
    """If it fails, two engines that both answer NaN count as agreeing."""

    class Broken:
        def infer(self, batch: Sequence[Sequence[int]]) -> NDArray[np.float32]:
            return np.full((len(batch), 2), np.nan, dtype=np.float32)

    with pytest.raises(AssertionError, match="deviates by nan"):
        check_parity(Broken(), Broken(), [[[1, 2]]])
