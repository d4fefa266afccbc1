"""Teaching a small classifier what a larger one thinks (Hinton et al. 2015), of texts that keep changing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from mlapi.training.altering import UNLABELLED, altered_texts
from mlapi.training.network import accuracy, forward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlapi.training.data import Dataset
    from mlapi.training.machine import Machine
    from mlapi.training.recipe import Distillation

    Encode = Callable[[Sequence[str]], list[list[int]]]


class TaughtTexts:
    """Learning a teacher's probabilities, and a little the recorded labels and the teacher's last state.

    Both sides read the same text, each through its own tokenizer. The teacher is asked in each step: its
    answers to an epoch's altered texts are of no use to the next one.
    """

    def __init__(
        self,
        teacher: Any,
        settings: Distillation,
        *,
        train: Dataset,
        dev: Dataset,
        teacher_reads: Encode,
        student_reads: Encode,
        seed: int,
    ) -> None:
        """Keep both sides.

        Args:
            teacher: The classifier that is asked; in evaluation mode.
            settings: Weights of the loss, and how texts are altered.
            train: Texts as they are to be read, with their labels.
            dev: Texts to score on.
            teacher_reads: Texts to the teacher's token ids.
            student_reads: Texts to the student's token ids.
            seed: Decides how texts are altered.
        """
        self._teacher, self._settings, self._train = teacher, settings, train
        self._teacher_reads, self._student_reads, self._seed = teacher_reads, student_reads, seed
        self._dev_texts, self._dev_labels = student_reads(dev.texts), dev.labels
        self._epoch = -1

    def __len__(self) -> int:
        """Return how many training texts there are."""
        return len(self._train.texts)

    def lengths(self, epoch: int) -> Sequence[int]:
        """Return the student's tokens of each text in an epoch."""
        self._prepare(epoch)
        return self._lengths

    def loss(self, model: Any, rows: Sequence[int], *, epoch: int) -> torch.Tensor:
        """Return the mean loss of some of an epoch's texts."""
        self._prepare(epoch)
        settings = self._settings
        with torch.no_grad():
            taught = forward(self._teacher, [self._taught[row] for row in rows], output_hidden_states=True)
        learnt = forward(model, [self._learnt[row] for row in rows], output_hidden_states=True)
        logits, heat = learnt.logits.float(), settings.temperature
        softened = functional.kl_div(
            functional.log_softmax(logits / heat, dim=-1),
            functional.log_softmax(taught.logits.float() / heat, dim=-1),
            log_target=True,
            reduction="batchmean",
        )
        states = functional.mse_loss(
            learnt.hidden_states[-1][:, 0].float(), taught.hidden_states[-1][:, 0].float()
        )
        labels = self._labels[list(rows)]
        recorded = functional.cross_entropy(logits, labels, reduction="sum", ignore_index=UNLABELLED)
        return (
            (1 - settings.label_weight) * heat**2 * softened
            + settings.label_weight * recorded / max(1, int((labels != UNLABELLED).sum()))
            + settings.state_weight * states
        )

    def score(self, model: Any, machine: Machine) -> float:
        """Return the student's accuracy on dev."""
        return accuracy(model, self._dev_texts, self._dev_labels, machine=machine)

    def _prepare(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        texts, labels = altered_texts(
            self._train.texts, self._train.labels, self._settings, seed=self._seed, epoch=epoch
        )
        self._learnt, self._taught = self._student_reads(texts), self._teacher_reads(texts)
        self._lengths = [len(text) for text in self._learnt]
        self._labels = torch.tensor(labels)
        self._epoch = epoch
