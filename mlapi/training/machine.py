"""What a training run computes on: one process with torch alone, or several through accelerate.

Both give the loop the same few verbs. Every process makes the same batches and takes its own share of each,
so that a batch means the same texts however many processes there are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import torch

from mlapi.errors import ConfigurationError
from mlapi.resources import engine_threads

if TYPE_CHECKING:
    from mlapi.training.recipe import Precision


class Machine(Protocol):
    """One process of a run.

    Attributes:
        rank: Number of this process, from 0; process 0 writes and speaks.
        processes: How many there are.
        device: Where the model lies.
        precision: What matrix products are computed in.
    """

    rank: int
    processes: int
    device: torch.device
    precision: Precision

    def prepare(self, model: Any, optimizer: Any) -> tuple[Any, Any]:
        """Return both as the loop is to use them: on the device, gradients shared between processes."""
        ...

    def bare(self, model: Any) -> Any:
        """Return the model inside what `prepare` returned."""
        ...

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in `precision` inside the block."""
        ...

    def update(self, loss: torch.Tensor, model: Any, optimizer: Any, *, largest_norm: float) -> None:
        """Go back through the loss, clip the gradients' norm, and take the optimizer's step."""
        ...

    def total(self, value: float) -> float:
        """Add up a number over all processes."""
        ...

    def wait(self) -> None:
        """Go on when every process has come here."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what must be kept in a checkpoint."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        ...

    def close(self) -> None:
        """Part from the other processes."""
        ...


class PlainMachine:
    """One process, on a GPU where there is one and it is wanted, with torch's own mixed precision."""

    rank = 0
    processes = 1

    def __init__(self, device: str, *, precision: Precision) -> None:
        """Take a device.

        Args:
            device: `cpu` or `cuda`.
            precision: What matrix products are computed in; fp16 needs a GPU.
        """
        check_precision(precision, device=device)
        self.device = torch.device(device)
        self.precision = precision
        self._scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")

    def prepare(self, model: Any, optimizer: Any) -> tuple[Any, Any]:
        """Return both: the loop builds the optimizer on a model that is on the device already."""
        return model, optimizer

    def bare(self, model: Any) -> Any:
        """Return the model: nothing is around it."""
        return model

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in `precision` inside the block."""
        if self.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        context: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=dtype)
        return context

    def update(self, loss: torch.Tensor, model: Any, optimizer: Any, *, largest_norm: float) -> None:
        """Go back through the loss, clip the gradients' norm, and take the optimizer's step."""
        optimizer.zero_grad()
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), largest_norm)
        self._scaler.step(optimizer)
        self._scaler.update()

    def total(self, value: float) -> float:
        """Return the number: there is one process."""
        return value

    def wait(self) -> None:
        """Return at once: there is one process."""

    def state(self) -> dict[str, Any]:
        """Return the gradient scaler's state; empty unless fp16."""
        state: dict[str, Any] = self._scaler.state_dict()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        self._scaler.load_state_dict(state)

    def close(self) -> None:
        """Do nothing: there is one process."""


def choose_machine(asked: Precision | None, *, threads: int | None) -> Machine:
    """Return this process's machine: its GPU where there is one, and accelerate where it is installed.

    Args:
        asked: The precision; None takes the best that the hardware computes.
        threads: CPU threads of this process; None takes its share of the CPUs.

    Raises:
        ConfigurationError: The hardware does not compute in the precision.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = asked or best_precision(device)
    check_precision(precision, device=device)
    machine: Machine
    if find_spec("accelerate") is None:
        machine = PlainMachine(device, precision=precision)
    else:
        from mlapi.training.accelerated import AcceleratedMachine

        machine = AcceleratedMachine(device, precision=precision)
    torch.set_num_threads(engine_threads(threads, workers=machine.processes))
    return machine


def check_precision(precision: Precision, *, device: str) -> None:
    """Refuse what the device cannot do.

    Raises:
        ConfigurationError: fp16 without a GPU.
    """
    if precision == "fp16" and device == "cpu":
        raise ConfigurationError("--precision fp16 needs a GPU; take bf16, fp32 or auto")


def best_precision(device: str) -> Precision:
    """Return bf16 where the hardware computes it natively, fp32 elsewhere."""
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    able = torch.cpu.get_capabilities()
    return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16") else "fp32"
