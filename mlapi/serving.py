"""Whether this process can answer: from start, through ready, to shutting down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mlapi.errors import Starting

if TYPE_CHECKING:
    from mlapi.predictor import Predictor

Phase = Literal["starting", "healthy", "draining"]
Status = Literal["starting", "healthy", "draining", "stuck"]


class Serving:
    """The state that the lifespan shares with the routes.

    Attributes:
        phase: What readiness says.
        predictor: Answers requests; None until the model is loaded. It goes on answering while `phase` is
            `draining`, because traffic still arrives until everyone has noticed.
    """

    def __init__(self) -> None:
        """Begin with nothing loaded."""
        self.phase: Phase = "starting"
        self.predictor: Predictor | None = None

    def ready(self, predictor: Predictor) -> None:
        """Note that requests can be answered."""
        self.predictor = predictor
        if self.phase == "starting":
            self.phase = "healthy"

    def drain(self) -> None:
        """Ask for no more traffic."""
        self.phase = "draining"

    def alive(self, *, stuck_after: float) -> bool:
        """Tell whether the engine makes progress, or is yet to be loaded."""
        return self.predictor is None or self.predictor.healthy(stuck_after=stuck_after)

    def status(self, *, stuck_after: float) -> Status:
        """Return the phase, or `stuck` where an engine call has taken longer than `stuck_after` seconds."""
        return self.phase if self.phase == "draining" or self.alive(stuck_after=stuck_after) else "stuck"

    def require_predictor(self) -> Predictor:
        """Return the predictor.

        Raises:
            Starting: It is not there yet.
        """
        if self.predictor is None:
            raise Starting("the model is still being loaded", retry_after=1.0)
        return self.predictor
