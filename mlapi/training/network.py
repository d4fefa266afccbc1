"""What every run does with its network: logits of a batch, accuracy, optimizer, running average."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch

from mlapi.engines.padding import pad_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.training.machine import Machine
    from mlapi.training.recipe import Schedule

MAX_GRADIENT_NORM = 1.0
EVALUATION_BATCH = 32


def forward(model: Any, batch: Sequence[Sequence[int]], **options: Any) -> Any:
    """Run a classifier on token ids.

    Args:
        model: A sequence classifier of transformers; knows its padding id.
        batch: Token ids of each text.
        options: Handed to the model.

    Returns:
        The model's output; `logits` has shape (len(batch), labels).
    """
    inner = getattr(model, "module", model)  # the model inside a wrapper for several processes
    input_ids, attention_mask = pad_batch(batch, pad_id=int(inner.config.pad_token_id or 0))
    device = inner.device
    return model(
        input_ids=torch.from_numpy(input_ids).to(device),
        attention_mask=torch.from_numpy(attention_mask).to(device),
        **options,
    )


def accuracy(model: Any, texts: Sequence[Sequence[int]], labels: Sequence[int], *, machine: Machine) -> float:
    """Return the share of texts whose most probable label is the recorded one, computed in float32.

    Args:
        model: The classifier; in evaluation mode afterwards.
        texts: Token ids of each text.
        labels: Recorded label of each text.
        machine: Its processes share the batches.
    """
    model.train(mode=False)
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    batches = [order[start : start + EVALUATION_BATCH] for start in range(0, len(order), EVALUATION_BATCH)]
    correct = 0
    for rows in batches[machine.rank :: machine.processes]:
        with torch.inference_mode():
            output = forward(model, [texts[row] for row in rows])
        predicted = cast("list[int]", output.logits.argmax(dim=-1).tolist())
        correct += sum(labels[row] == label for row, label in zip(rows, predicted, strict=True))
    return machine.total(correct) / len(texts)


def build_optimizer(model: torch.nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    """Make AdamW, with decay on matrices alone; the loop sets the learning rate before each step."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": schedule.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=schedule.learning_rate,
        fused=True,
    )


def learning_rate(schedule: Schedule, *, step: int, steps: int) -> float:
    """Return the learning rate of a step: a straight rise over the warm-up, then a straight fall to zero.

    Args:
        schedule: Peak and warm-up.
        step: Steps taken before this one.
        steps: Steps of the whole run.
    """
    rise = max(1, math.ceil(schedule.warmup * steps))
    return schedule.learning_rate * min((step + 1) / rise, max(0.0, (steps - step) / max(1, steps - rise)))


def update_average(average: torch.nn.Module, model: torch.nn.Module, *, step: int, decay: float) -> None:
    """Move the running average of the weights towards the model's, faster during the first steps."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
