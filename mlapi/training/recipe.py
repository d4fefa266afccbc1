"""What decides how a trained model comes out: how a run goes, and what the starter is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "bf16", "fp16"]
"""What the matrix products of training are computed in; weights and optimizer stay in float32."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(_Settings):
    """How one run of the training loop goes, whatever it trains."""

    seed: int = Field(default=1, ge=0)
    """Decides new weights, dropout and the order of the texts."""

    epochs: int = Field(default=3, ge=1)
    """Passes over the training texts."""

    batch_size: int = Field(default=32, ge=1)
    """Texts a step, over all processes together."""

    learning_rate: float = Field(default=5e-5, gt=0)
    """Peak of the learning rate, reached after `warmup` and followed by a straight line to zero."""

    warmup: float = Field(default=0.06, ge=0, lt=1)
    """Share of all steps over which the learning rate rises."""

    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decay, on matrices alone."""

    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay of the running average of the weights, which is what is evaluated and kept; 0 keeps none."""

    evaluations: int = Field(default=4, ge=1)
    """Evaluations on dev in each epoch."""

    patience: int = Field(default=8, ge=1)
    """Evaluations in a row without a better accuracy on dev after which training stops."""

    checkpoint_steps: int = Field(default=200, ge=1)
    """Steps between checkpoints; each evaluation writes one as well. Does not change the weights."""

    def deciding(self) -> dict[str, object]:
        """Return what decides the weights, for a run's fingerprint."""
        return self.model_dump(exclude={"checkpoint_steps"})


class Distillation(_Settings):
    """What the starter's student learns from its teacher, and on which texts."""

    temperature: float = Field(default=2.0, gt=0)
    """Both sides' logits are divided by it before their probabilities are compared."""

    label_weight: float = Field(default=0.1, ge=0, le=1)
    """Weight of the recorded labels, on texts that are as recorded, against the teacher's probabilities."""

    state_weight: float = Field(default=1.0, ge=0)
    """Weight of the squared distance between both sides' last state of the first token."""

    altered: float = Field(default=0.5, ge=0, le=1)
    """Share of the texts that are altered anew in each epoch, so that the teacher is asked about more."""

    masked_words: float = Field(default=0.3, gt=0, lt=1)
    """Share of the words that one kind of altering hides."""


class Recipe(_Settings):
    """Settings of the starter. The defaults made the model in `models/starter`."""

    seed: int = Field(default=1, ge=0)
    """Decides the new head's weights, dropout, the order of the texts and how they are altered."""

    positions: int = Field(default=128, ge=8, le=512)
    """Tokens after which a training text is cut; the model itself takes as many as its encoder."""

    layers: tuple[int, ...] = Field(default=(0, 2, 5), min_length=1)
    """The teacher's layers that the student keeps, counted from 0."""

    vocabulary: int = Field(default=9000, ge=8)
    """Word pieces that the student keeps; single characters are always kept."""

    hidden_dim: int = Field(default=1024, ge=1)
    """Feed-forward width that the student keeps in each layer."""

    teacher: Schedule = Schedule(epochs=2, learning_rate=1e-4, evaluations=4)
    """How the six-layer teacher is fine-tuned. Its `seed` is not read: `seed` above is."""

    student: Schedule = Schedule(epochs=6, batch_size=64, learning_rate=3e-4, ema_decay=0.998, evaluations=2)
    """How the student is taught. Its `seed` is not read: `seed` above is."""

    distillation: Distillation = Distillation()
    """What the student is taught."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 halves the time on CPUs that have it, and gives other weights."""

    threads: int = Field(default=2, ge=1)
    """CPU threads. Another number adds in another order, and so gives other last digits."""
