"""What a student is taught, and on which texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlapi.training.altering import UNLABELLED, altered_texts
from mlapi.training.data import Dataset
from mlapi.training.recipe import Distillation
from tests.support.tiny_encoder import bert_tokenizer, write_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.torch

TEXTS = tuple(f"the film is {word} , what a song" for word in ("lovely", "dull", "warm", "cold")) * 25
LABELS = (1, 0, 1, 0) * 25
ALL = Distillation(altered=1.0)


def test_seed_and_epoch_alone_decide_the_altered_texts() -> None:
    """If this fails, a resumed run teaches other texts than it would have, or all epochs are alike."""

    def altered(seed: int, epoch: int) -> tuple[list[str], list[int]]:
        return altered_texts(TEXTS, LABELS, Distillation(), seed=seed, epoch=epoch)

    assert altered(1, 0) == altered(1, 0)
    assert altered(1, 0) != altered(1, 1)
    assert altered(1, 0) != altered(2, 0)


def test_an_altered_text_loses_its_label_and_the_others_keep_theirs() -> None:
    """If this fails, `not lovely` is taught with the label of `lovely`."""
    texts, labels = altered_texts(TEXTS, LABELS, Distillation(altered=0.5), seed=1, epoch=0)
    for text, label, was, had in zip(texts, labels, TEXTS, LABELS, strict=True):
        assert label == (had if label != UNLABELLED else UNLABELLED)
        assert text == was or label == UNLABELLED
    assert 25 < labels.count(UNLABELLED) < 75
    assert altered_texts(TEXTS, LABELS, Distillation(altered=0.0), seed=1, epoch=0) == (
        list(TEXTS),
        list(LABELS),
    )


def test_texts_of_any_length_are_altered_and_never_empty() -> None:
    """If this fails, a one-word text ends the training with an exception, or an empty one is taught."""
    short = ("fine", "no thanks", "a b c") * 40
    texts, _ = altered_texts(short, (1,) * len(short), ALL, seed=1, epoch=0)
    assert all(text.strip() for text in texts)


def reader(tokens: list[Sequence[str]]) -> Any:
    """Return a function from texts to token ids that remembers what it was asked."""
    tokenizer = bert_tokenizer()

    def read(texts: Sequence[str]) -> list[list[int]]:
        tokens.append(texts)
        return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]

    return read


def taught(tmp_path: Path, settings: Distillation) -> tuple[Any, Any, Any]:
    """Return a task, its teacher, and another classifier."""
    import torch

    from mlapi.training.distil import TaughtTexts
    from mlapi.training.encoder import find_encoder

    encoder = find_encoder(write_encoder(tmp_path))
    teacher, student = (
        encoder.classifier({0: "NEGATIVE", 1: "POSITIVE"}).train(mode=False) for _ in range(2)
    )
    with torch.no_grad():
        teacher.classifier.bias.copy_(torch.tensor([1.0, -1.0]))
    data = Dataset(name="texts.tsv", texts=TEXTS, labels=LABELS, sha256="0" * 64)
    task = TaughtTexts(
        teacher, settings, train=data, dev=data, teacher_reads=reader([]), student_reads=reader([]), seed=1
    )
    return task, teacher, student


def test_a_student_that_thinks_as_its_teacher_has_nothing_to_learn(tmp_path: Path) -> None:
    """If this fails, the loss pulls the student away from what the teacher says."""
    task, teacher, student = taught(tmp_path, Distillation(label_weight=0.0))
    rows = list(range(8))
    assert len(task) == len(TEXTS)
    assert task.loss(teacher, rows, epoch=0).item() == pytest.approx(0.0, abs=1e-5)
    assert task.loss(student, rows, epoch=0).item() > 0.01


def test_a_teacher_is_never_trained(tmp_path: Path) -> None:
    """If this fails, the teacher follows its student and the two agree on anything."""
    task, teacher, student = taught(tmp_path, Distillation())
    task.loss(student, list(range(8)), epoch=0).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in student.distilbert.parameters())


def test_a_batch_without_labels_is_taught_all_the_same(tmp_path: Path) -> None:
    """If this fails, a batch of altered texts alone gives no number and ruins all weights."""
    import math

    task, _, student = taught(tmp_path, ALL)
    assert math.isfinite(task.loss(student, [0, 1, 2], epoch=3).item())
    assert len(task.lengths(3)) == len(TEXTS)
