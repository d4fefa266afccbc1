"""What decides how the starter model comes out: its size and how it is trained."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """Settings of one training run. The defaults made the model in `models/starter`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=1, ge=0)
    """Decides initial weights, dropout, dropped words and the order of the texts."""

    vocabulary: int = Field(default=9000, ge=100)
    """Most entries of the WordPiece vocabulary."""

    dim: int = Field(default=64, ge=4)
    """Width of the embeddings and of every layer."""

    layers: int = Field(default=3, ge=1)
    """Transformer layers."""

    heads: int = Field(default=4, ge=1)
    """Attention heads; they divide `dim`."""

    hidden_dim: int = Field(default=256, ge=4)
    """Width inside the feed-forward part of a layer."""

    positions: int = Field(default=512, ge=8, le=512)
    """Longest token sequence, special tokens included."""

    epochs: int = Field(default=3, ge=1)
    """Passes over the training texts."""

    batch_size: int = Field(default=128, ge=1)
    """Texts a step."""

    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak of the learning rate, reached after `warmup` and followed by a straight line to zero."""

    warmup: float = Field(default=0.06, gt=0, lt=1)
    """Share of all steps over which the learning rate rises."""

    weight_decay: float = Field(default=0.2, ge=0)
    """AdamW's decay, on matrices alone."""

    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Dropout on embeddings, layers and the classifier."""

    word_dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of the word pieces that are replaced by `[UNK]` in each training batch."""

    teacher_weight: float = Field(default=0.9, ge=0, le=1)
    """Weight of the teacher's probabilities against the labels, where there is a teacher."""

    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the running average of the weights, which is what is evaluated and kept."""

    evaluations: int = Field(default=4, ge=1)
    """Evaluations on dev in each epoch."""

    patience: int = Field(default=6, ge=1)
    """Evaluations in a row without a better accuracy on dev after which training stops."""

    checkpoint_steps: int = Field(default=100, ge=1)
    """Steps between checkpoints; each evaluation writes one as well."""

    threads: int = Field(default=1, ge=1)
    """CPU threads. Another number adds in another order, and so gives other last digits."""
