"""Cutting a DistilBERT classifier down: fewer layers, fewer word pieces, narrower feed-forward parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mlapi.errors import ConfigurationError
from mlapi.training.network import EVALUATION_BATCH, forward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import DistilBertForSequenceClassification


def pruned(
    model: DistilBertForSequenceClassification,
    *,
    layers: Sequence[int],
    pieces: Sequence[int],
    hidden_dim: int,
    sample: Sequence[Sequence[int]],
) -> DistilBertForSequenceClassification:
    """Return a smaller classifier made of a part of this one's weights.

    Args:
        model: The classifier to cut; in evaluation mode afterwards.
        layers: Layers to keep, from 0.
        pieces: Ids of the word pieces to keep; their places are the new ids.
        hidden_dim: Neurons of each feed-forward part to keep, those that matter most.
        sample: Token ids of texts on which it is measured what matters.

    Raises:
        ConfigurationError: The model has no such layer, or no such width.
    """
    config: Any = model.config
    if not set(layers) <= set(range(config.n_layers)):
        raise ConfigurationError(f"--layers: the encoder has the layers 0 to {config.n_layers - 1}")
    if hidden_dim > config.hidden_dim:
        raise ConfigurationError(f"--hidden-dim is {hidden_dim}, the encoder's is {config.hidden_dim}")
    weights = model.state_dict()
    new: dict[str, torch.Tensor] = {
        name: weight for name, weight in weights.items() if ".transformer.layer." not in name
    }
    embeddings = "distilbert.embeddings.word_embeddings.weight"
    new[embeddings] = weights[embeddings][list(pieces)]
    importance = neuron_importance(model, layers, sample)
    for place, layer in enumerate(layers):
        prefix = f"distilbert.transformer.layer.{layer}."
        keep = importance[place].topk(hidden_dim).indices.sort().values
        for name, weight in weights.items():
            if not name.startswith(prefix):
                continue
            part = name.removeprefix(prefix)
            if part in {"ffn.lin1.weight", "ffn.lin1.bias"}:
                weight = weight[keep]  # noqa: PLW2901 - the weight, cut
            elif part == "ffn.lin2.weight":
                weight = weight[:, keep]  # noqa: PLW2901 - the weight, cut
            new[f"distilbert.transformer.layer.{place}.{part}"] = weight
    smaller = type(model)(
        type(config)(
            **{
                **config.to_dict(),
                "vocab_size": len(pieces),
                "n_layers": len(layers),
                "hidden_dim": hidden_dim,
                "pad_token_id": list(pieces).index(config.pad_token_id),
            }
        )
    )
    smaller.load_state_dict({name: weight.clone() for name, weight in new.items()})
    return smaller.train(mode=False)


def neuron_importance(
    model: DistilBertForSequenceClassification, layers: Sequence[int], sample: Sequence[Sequence[int]]
) -> list[torch.Tensor]:
    """Measure what each feed-forward neuron contributes: its activations' sizes, times its weights' norm.

    Args:
        model: The classifier; in evaluation mode afterwards.
        layers: Whose neurons.
        sample: Token ids of texts.

    Returns:
        One tensor of shape (hidden_dim,) a layer. The activations at padding are left out.
    """
    model.train(mode=False)
    parts = [model.distilbert.transformer.layer[layer].ffn for layer in layers]
    sums = [torch.zeros(part.lin2.in_features, dtype=torch.float64) for part in parts]
    mask: list[torch.Tensor] = []
    hooks = [
        part.lin2.register_forward_pre_hook(_adding(total, mask))
        for part, total in zip(parts, sums, strict=True)
    ]
    try:
        for start in range(0, len(sample), EVALUATION_BATCH):
            batch = sample[start : start + EVALUATION_BATCH]
            longest = max(map(len, batch))
            mask[:] = [torch.tensor([[place < len(ids) for place in range(longest)] for ids in batch])]
            with torch.inference_mode():
                forward(model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return [
        total * part.lin2.weight.detach().double().norm(dim=0)
        for part, total in zip(parts, sums, strict=True)
    ]


def _adding(total: torch.Tensor, mask: Sequence[torch.Tensor]) -> Callable[..., None]:
    """Make a hook that adds up what comes in, where the mask of the batch under way allows it."""

    def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        total.add_(inputs[0][mask[0]].abs().sum(dim=0).double())

    return hook
