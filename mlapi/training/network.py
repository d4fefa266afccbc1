"""The starter's network and one step of its training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import functional
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from mlapi.engines.padding import pad_batch
from mlapi.training.data import ID2LABEL
from mlapi.training.vocabulary import MASK_ID, PAD_ID, UNK_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.training.recipe import Recipe

ATTENTION_DROPOUT = 0.1
MAX_GRADIENT_NORM = 1.0


def build_model(recipe: Recipe, *, vocabulary: int) -> DistilBertForSequenceClassification:
    """Make the network with fresh weights, drawn from torch's generator as it stands."""
    config = DistilBertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=recipe.positions,
        dim=recipe.dim,
        n_layers=recipe.layers,
        n_heads=recipe.heads,
        hidden_dim=recipe.hidden_dim,
        dropout=recipe.dropout,
        attention_dropout=ATTENTION_DROPOUT,
        seq_classif_dropout=recipe.dropout,
        pad_token_id=PAD_ID,
        id2label=dict(ID2LABEL),
        label2id={label: index for index, label in ID2LABEL.items()},
    )
    return DistilBertForSequenceClassification(config)


def build_optimizer(
    model: torch.nn.Module, recipe: Recipe, *, steps: int
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """Make AdamW, with decay on matrices alone, and a learning rate that rises, then falls to zero.

    Args:
        model: What to train.
        recipe: Peak learning rate, decay and warm-up.
        steps: Steps of the whole run.
    """
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
    )
    rise = max(1, math.ceil(recipe.warmup * steps))

    def factor(step: int) -> float:
        return min((step + 1) / rise, max(0.0, (steps - step) / max(1, steps - rise)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def train_step(
    model: DistilBertForSequenceClassification,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Sequence[int]],
    targets: torch.Tensor,
    *,
    word_dropout: float,
) -> float:
    """Take one step on one batch.

    Args:
        model: In training mode.
        optimizer: Over the model's parameters.
        batch: Token ids of each text.
        targets: Probability of each label, shape (len(batch), labels).
        word_dropout: Share of the word pieces to replace by `[UNK]`.

    Returns:
        The cross entropy between targets and predictions, averaged over the batch.
    """
    input_ids, attention_mask = (torch.from_numpy(array) for array in pad_batch(batch, pad_id=PAD_ID))
    dropped = (torch.rand(input_ids.shape) < word_dropout) & (input_ids > MASK_ID)
    logits = model(input_ids=input_ids.masked_fill(dropped, UNK_ID), attention_mask=attention_mask).logits
    loss: Any = functional.cross_entropy(logits, targets)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimizer.step()
    return float(loss.detach())


def update_average(average: torch.nn.Module, model: torch.nn.Module, *, step: int, decay: float) -> None:
    """Move the running average of the weights towards the model's, faster during the first steps."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)


def accuracy(
    model: DistilBertForSequenceClassification,
    texts: Sequence[Sequence[int]],
    labels: Sequence[int],
    *,
    size: int,
) -> float:
    """Return the share of texts whose most probable label is the recorded one.

    Args:
        model: The classifier; in evaluation mode afterwards.
        texts: Token ids of each text.
        labels: Recorded label of each text.
        size: Texts a batch.
    """
    model.train(mode=False)
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    correct = 0
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        input_ids, attention_mask = pad_batch([texts[row] for row in rows], pad_id=PAD_ID)
        with torch.inference_mode():
            output = model(
                input_ids=torch.from_numpy(input_ids), attention_mask=torch.from_numpy(attention_mask)
            )
        predicted = cast("list[int]", output.logits.argmax(dim=-1).tolist())
        correct += sum(labels[row] == label for row, label in zip(rows, predicted, strict=True))
    return correct / len(texts)
