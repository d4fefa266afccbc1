"""What a run is to learn: texts, a loss for some of them, and a score by which the best is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.nn import functional

from mlapi.training.network import accuracy, forward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.training.machine import Machine


class Task(Protocol):
    """The loop's view of what is learnt. Nothing but the arguments decides what a method returns."""

    def __len__(self) -> int:
        """Return how many training texts each epoch has."""
        ...

    def lengths(self, epoch: int) -> Sequence[int]:
        """Return the tokens of each training text in an epoch."""
        ...

    def loss(self, model: Any, rows: Sequence[int], *, epoch: int) -> torch.Tensor:
        """Return the mean loss of some of an epoch's texts, with gradients."""
        ...

    def score(self, model: Any, machine: Machine) -> float:
        """Return the accuracy on dev, from 0 to 1; the model is in evaluation mode afterwards."""
        ...


class LabelledTexts:
    """Learning recorded labels by cross-entropy."""

    def __init__(
        self,
        texts: Sequence[Sequence[int]],
        labels: Sequence[int],
        *,
        dev_texts: Sequence[Sequence[int]],
        dev_labels: Sequence[int],
    ) -> None:
        """Keep the texts.

        Args:
            texts: Token ids of each training text.
            labels: Label id of each training text.
            dev_texts: Token ids of each dev text.
            dev_labels: Label id of each dev text.
        """
        self._texts, self._labels = texts, torch.tensor(labels)
        self._dev_texts, self._dev_labels = dev_texts, dev_labels
        self._lengths = [len(text) for text in texts]

    def __len__(self) -> int:
        """Return how many training texts there are."""
        return len(self._texts)

    def lengths(self, epoch: int) -> Sequence[int]:  # noqa: ARG002 - the same texts in every epoch
        """Return the tokens of each training text."""
        return self._lengths

    def loss(self, model: Any, rows: Sequence[int], *, epoch: int) -> torch.Tensor:  # noqa: ARG002
        """Return the mean cross-entropy of some texts."""
        logits = forward(model, [self._texts[row] for row in rows]).logits.float()
        return functional.cross_entropy(logits, self._labels[list(rows)].to(logits.device))

    def score(self, model: Any, machine: Machine) -> float:
        """Return the accuracy on dev."""
        return accuracy(model, self._dev_texts, self._dev_labels, machine=machine)
