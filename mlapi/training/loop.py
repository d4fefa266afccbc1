"""The training loop of the starter: killed at any moment, it goes on where its checkpoint stands."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

import torch

from mlapi.training.batches import epoch_batches
from mlapi.training.network import accuracy, build_model, build_optimizer, train_step, update_average

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import DistilBertForSequenceClassification

    from mlapi.training.checkpoint import Checkpoints
    from mlapi.training.progress import TrainingProgress
    from mlapi.training.recipe import Recipe


class Evaluation(TypedDict):
    """One evaluation: epochs done, mean training loss since the one before, accuracy on dev (0 to 1)."""

    epoch: float
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Material:
    """What the loop works on.

    Attributes:
        texts: Token ids of each training text.
        targets: Probability of each label for each training text, float32 of shape (len(texts), labels).
        dev_texts: Token ids of each dev text.
        dev_labels: Recorded label of each dev text.
        vocabulary: Entries of the vocabulary.
    """

    texts: Sequence[Sequence[int]]
    targets: torch.Tensor
    dev_texts: Sequence[Sequence[int]]
    dev_labels: Sequence[int]
    vocabulary: int


@dataclass(slots=True)
class Standing:
    """The plain half of a run's state.

    Attributes:
        step: Steps taken.
        loss_sum: Sum of the losses since the last evaluation.
        loss_count: How many those were.
        best: Best accuracy on dev so far.
        stale: Evaluations since then.
        finished: Whether the run is over.
        history: All evaluations.
    """

    step: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best: float = -1.0
    stale: int = 0
    finished: bool = False
    history: list[Evaluation] = field(default_factory=list)


class Run:
    """One training run: networks, optimizer, schedule, and how far it is."""

    def __init__(self, material: Material, recipe: Recipe, checkpoints: Checkpoints) -> None:
        """Start anew, or from the checkpoint where there is one.

        Args:
            material: The texts, as token ids.
            recipe: How to train.
            checkpoints: Where the state is kept.

        Raises:
            ConfigurationError: The checkpoint is another run's, or cannot be read.
        """
        self._material, self._recipe, self._checkpoints = material, recipe, checkpoints
        self._lengths = [len(text) for text in material.texts]
        self.epoch_steps = len(self._batches(0))
        self.steps = recipe.epochs * self.epoch_steps
        torch.set_num_threads(recipe.threads)
        torch.manual_seed(recipe.seed)
        self._model = build_model(recipe, vocabulary=material.vocabulary)
        self._average = copy.deepcopy(self._model)
        self._optimizer, self._schedule = build_optimizer(self._model, recipe, steps=self.steps)
        self.best_weights: dict[str, torch.Tensor] = {}
        self.standing = Standing()
        if (state := checkpoints.load()) is not None:
            self._restore(state)

    def train(self, progress: TrainingProgress) -> None:
        """Take the steps that are left, evaluating and saving on the way."""
        size = self._recipe.evaluations
        evaluate_at = {round(self.epoch_steps * part / size) for part in range(1, size + 1)} - {0}
        progress.at(self.standing.step, self.steps)
        while not self.standing.finished:
            epoch, done = divmod(self.standing.step, self.epoch_steps)
            for place, rows in enumerate(self._batches(epoch)[done:], start=done + 1):
                self._step(rows.tolist())
                progress.at(self.standing.step, self.steps)
                if place in evaluate_at:
                    self._evaluate(progress)
                elif self.standing.step % self._recipe.checkpoint_steps == 0:
                    self._save()
                if self.standing.finished:
                    break

    def best_model(self) -> DistilBertForSequenceClassification:
        """Return the network with the weights that were best on dev, in evaluation mode."""
        self._average.load_state_dict(self.best_weights)
        self._average.train(mode=False)
        return self._average

    def _batches(self, epoch: int) -> list[Any]:
        return epoch_batches(self._lengths, size=self._recipe.batch_size, seed=self._recipe.seed, epoch=epoch)

    def _step(self, rows: list[int]) -> None:
        self._model.train()
        loss = train_step(
            self._model,
            self._optimizer,
            [self._material.texts[row] for row in rows],
            self._material.targets[rows],
            word_dropout=self._recipe.word_dropout,
        )
        self._schedule.step()
        self.standing.step += 1
        self.standing.loss_sum += loss
        self.standing.loss_count += 1
        update_average(self._average, self._model, step=self.standing.step, decay=self._recipe.ema_decay)

    def _evaluate(self, progress: TrainingProgress) -> None:
        standing = self.standing
        value = accuracy(
            self._average,
            self._material.dev_texts,
            self._material.dev_labels,
            size=self._recipe.batch_size,
        )
        epoch, loss = standing.step / self.epoch_steps, standing.loss_sum / standing.loss_count
        standing.history.append({"epoch": epoch, "loss": loss, "accuracy": value})
        standing.loss_sum, standing.loss_count = 0.0, 0
        if value > standing.best:
            standing.best, standing.stale = value, 0
            self.best_weights = copy.deepcopy(self._average.state_dict())
        else:
            standing.stale += 1
        standing.finished = standing.step >= self.steps or standing.stale >= self._recipe.patience
        self._save()
        progress.evaluated(epoch=epoch, loss=loss, accuracy=value, best=standing.best)
        if standing.finished and standing.step < self.steps:
            progress.say(f"stopped early: {standing.stale} evaluations without a better accuracy on dev")

    def _save(self) -> None:
        self._checkpoints.save(
            {
                "model": self._model.state_dict(),
                "average": self._average.state_dict(),
                "best": self.best_weights,
                "optimizer": self._optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "random": torch.get_rng_state(),
                "standing": asdict(self.standing),
            }
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self._model.load_state_dict(state["model"])
        self._average.load_state_dict(state["average"])
        self.best_weights = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        self.standing = Standing(**state["standing"])
