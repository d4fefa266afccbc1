"""The training loop of every model here: killed at any moment, it goes on where its checkpoint stands.

What a step does is decided by the seed and the step's number alone: which texts it takes, and what its
dropout draws. So a checkpoint needs weights, the optimizer's state and the count of steps, and no
generator's state.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch

from mlapi.training.batches import epoch_batches
from mlapi.training.network import MAX_GRADIENT_NORM, build_optimizer, learning_rate, update_average

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlapi.training.checkpoint import Checkpoints
    from mlapi.training.machine import Machine
    from mlapi.training.progress import TrainingProgress
    from mlapi.training.recipe import Schedule
    from mlapi.training.task import Task


class Evaluation(TypedDict):
    """One evaluation: steps and epochs done, learning rate, mean training loss since the one before, dev."""

    step: int
    epoch: float
    learning_rate: float
    loss: float
    accuracy: float


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
    """One training run: a model, its optimizer and schedule, and how far it is."""

    def __init__(
        self, model: Any, task: Task, schedule: Schedule, checkpoints: Checkpoints, machine: Machine
    ) -> None:
        """Start anew, or from the checkpoint where there is one.

        Args:
            model: The classifier to train, as it is before the first step.
            task: What it is to learn.
            schedule: How to train.
            checkpoints: Where the state is kept.
            machine: What it computes on.

        Raises:
            ConfigurationError: The checkpoint is another run's, or cannot be read.
        """
        self._task, self._schedule, self._checkpoints, self._machine = task, schedule, checkpoints, machine
        self._plain = model.to(machine.device)
        self._average = copy.deepcopy(self._plain) if schedule.ema_decay else self._plain
        self._model, self._optimizer = machine.prepare(self._plain, build_optimizer(self._plain, schedule))
        self._best: dict[str, torch.Tensor] = {}
        self.standing = Standing()
        self.epoch_steps = math.ceil(len(task) / schedule.batch_size)
        self.steps = schedule.epochs * self.epoch_steps
        if (state := checkpoints.load()) is not None:
            self._restore(state)
        machine.wait()

    def train(self, progress: TrainingProgress) -> None:
        """Take the steps that are left, evaluating and saving on the way."""
        size = self._schedule.evaluations
        evaluate_at = {round(self.epoch_steps * part / size) for part in range(1, size + 1)} - {0}
        progress.at(self.standing.step, self.steps)
        while not self.standing.finished:
            epoch, done = divmod(self.standing.step, self.epoch_steps)
            for place, rows in enumerate(self._batches(epoch)[done:], start=done + 1):
                self._step(rows, epoch)
                progress.at(self.standing.step, self.steps)
                if place in evaluate_at:
                    self._evaluate(progress)
                elif self.standing.step % self._schedule.checkpoint_steps == 0:
                    self._save()
                if self.standing.finished:
                    break

    def best_model(self) -> Any:
        """Return the model with the weights that were best on dev, in evaluation mode."""
        model = self._average if self._schedule.ema_decay else self._machine.bare(self._model)
        model.load_state_dict(self._best)
        model.train(mode=False)
        return model

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
        schedule, lengths = self._schedule, self._task.lengths(epoch)
        return epoch_batches(lengths, size=schedule.batch_size, seed=schedule.seed, epoch=epoch)

    def _step(self, rows: NDArray[np.int64], epoch: int) -> None:
        machine, standing = self._machine, self.standing
        drawn = np.random.SeedSequence((self._schedule.seed, standing.step, machine.rank))
        torch.manual_seed(int(drawn.generate_state(1)[0]))
        rate = learning_rate(self._schedule, step=standing.step, steps=self.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # A batch may hold fewer texts than there are processes; one without a text of its own counts nothing.
        share = rows[machine.rank :: machine.processes]
        weight = len(share) * machine.processes / len(rows)
        self._model.train()
        with machine.autocast():
            loss = self._task.loss(self._model, (share if len(share) else rows[:1]).tolist(), epoch=epoch)
        loss = loss * weight
        machine.update(loss, self._model, self._optimizer, largest_norm=MAX_GRADIENT_NORM)
        standing.step += 1
        standing.loss_sum += float(loss.detach())
        standing.loss_count += 1
        if self._schedule.ema_decay:
            update_average(self._average, self._plain, step=standing.step, decay=self._schedule.ema_decay)

    def _evaluate(self, progress: TrainingProgress) -> None:
        standing, machine = self.standing, self._machine
        value = self._task.score(self._average, machine)
        loss = machine.total(standing.loss_sum / standing.loss_count) / machine.processes
        evaluation: Evaluation = {
            "step": standing.step,
            "epoch": standing.step / self.epoch_steps,
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "loss": loss,
            "accuracy": value,
        }
        standing.history.append(evaluation)
        standing.loss_sum, standing.loss_count = 0.0, 0
        if value > standing.best:
            standing.best, standing.stale = value, 0
            self._best = copy.deepcopy(self._average.state_dict())
        else:
            standing.stale += 1
        standing.finished = standing.step >= self.steps or standing.stale >= self._schedule.patience
        self._save()
        progress.evaluated(epoch=evaluation["epoch"], loss=loss, accuracy=value, best=standing.best)
        if standing.finished and standing.step < self.steps:
            progress.say(f"stopped early: {standing.stale} evaluations without a better accuracy on dev")

    def _save(self) -> None:
        if self._machine.rank == 0:
            average = self._average.state_dict() if self._schedule.ema_decay else {}
            self._checkpoints.save(
                {
                    "model": self._plain.state_dict(),
                    "average": average,
                    "best": self._best,
                    "optimizer": self._optimizer.state_dict(),
                    "machine": self._machine.state(),
                    "standing": asdict(self.standing),
                }
            )
            self._checkpoints.record(self.standing.history)
        self._machine.wait()

    def _restore(self, state: dict[str, Any]) -> None:
        self._plain.load_state_dict(state["model"])
        if self._schedule.ema_decay:
            self._average.load_state_dict(state["average"])
        self._best = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        self._machine.restore(state["machine"])
        self.standing = Standing(**state["standing"])
        if self._machine.rank == 0:
            self._checkpoints.record(self.standing.history)
