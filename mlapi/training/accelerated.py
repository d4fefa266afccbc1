"""Training on whatever `accelerate` finds: one GPU or several, one machine or several, or CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mlapi.training.recipe import Precision


class AcceleratedMachine:
    """One of the processes that `accelerate launch` started, or the only one."""

    def __init__(self, device: str, *, precision: Precision) -> None:
        """Find the other processes.

        Args:
            device: `cpu` keeps off GPUs.
            precision: What matrix products are computed in.
        """
        from accelerate import Accelerator

        self._accelerator: Any = Accelerator(
            cpu=device == "cpu", mixed_precision="no" if precision == "fp32" else precision
        )
        self.rank = int(self._accelerator.process_index)
        self.processes = int(self._accelerator.num_processes)
        self.device: torch.device = self._accelerator.device
        self.precision = precision

    def prepare(self, model: Any, optimizer: Any) -> tuple[Any, Any]:
        """Return both wrapped: gradients are averaged over the processes, fp16 is scaled."""
        prepared: tuple[Any, Any] = self._accelerator.prepare(model, optimizer)
        return prepared

    def bare(self, model: Any) -> Any:
        """Return the model inside the wrapper, computing as it did before."""
        return self._accelerator.unwrap_model(model, keep_fp32_wrapper=False)

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in `precision` inside the block."""
        context: AbstractContextManager[Any] = self._accelerator.autocast()
        return context

    def update(self, loss: torch.Tensor, model: Any, optimizer: Any, *, largest_norm: float) -> None:
        """Go back through the loss, clip the gradients' norm, and take the optimizer's step."""
        optimizer.zero_grad()
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(model.parameters(), largest_norm)
        optimizer.step()

    def total(self, value: float) -> float:
        """Add up a number over all processes."""
        return float(self._accelerator.reduce(torch.tensor(value, device=self.device), "sum").item())

    def wait(self) -> None:
        """Go on when every process has come here."""
        self._accelerator.wait_for_everyone()

    def state(self) -> dict[str, Any]:
        """Return the gradient scaler's state; empty unless fp16."""
        scaler = self._accelerator.scaler
        return {} if scaler is None else dict(scaler.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state)

    def close(self) -> None:
        """Part from the other processes."""
        self._accelerator.end_training()
