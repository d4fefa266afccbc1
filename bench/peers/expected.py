"""What a server has to answer to the golden texts of the model's manifest, which the service checks too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlapi.models.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.peers.peer import Peer, Scores

INT8 = "openvino-int8"
FP32_TOLERANCE = 0.005
"""Of a probability: libraries round float32 otherwise, and some cut or round what they print."""

PADDED_OTHERWISE = 0.05
"""Of a probability: who does not pad to multiples of 16 tokens has numbers inside rounded the other way
(ADR 15), which moves a random model's answers more than a trained one's."""


class Expected:
    """Texts with the probabilities that one peer's engine gives for them."""

    def __init__(self, peer: Peer, model: Path) -> None:
        """Read the manifest.

        Args:
            peer: One that runs our int8 graph is held against its own logits, others against torch's.
            model: The model directory.

        Raises:
            ManifestError: The directory has no sound manifest.
            LookupError: The peer runs the int8 graph and the manifest does not describe it.
        """
        manifest = read_manifest(model)
        asked = [
            index for index, golden in enumerate(manifest.golden) if peer.truncates or not golden.truncated
        ]
        self.texts = tuple(manifest.golden[index].text for index in asked)
        logits: Sequence[Sequence[float]] = [golden.logits for golden in manifest.golden]
        self.tolerance = FP32_TOLERANCE
        if "int8" in peer.engine:
            variant = manifest.variants[INT8]
            logits = variant.golden_logits or logits
            self.tolerance = max(variant.golden_tolerance, PADDED_OTHERWISE)
        self._labels = manifest.labels
        self._probabilities = [_softmax(logits[index]) for index in asked]

    def complaint(self, index: int, scores: Scores) -> str | None:
        """Say what is wrong with the answer to one of the texts, or None.

        A server may tell the best label alone; one that tells several tells them all.
        """
        probabilities = dict(zip(self._labels, self._probabilities[index], strict=True))
        told = dict(scores)
        best = max(probabilities, key=lambda label: probabilities[label])
        if len(scores) == 1 and best in told:
            probabilities = {best: probabilities[best]}
        if set(told) != set(probabilities) or len(scores) != len(told):
            return f"labels {list(told)}, expected {list(probabilities)}"
        for label, probability in probabilities.items():
            if not abs(told[label] - probability) <= self.tolerance:
                return f"{label} at {told[label]:.4f}, expected {probability:.4f} ± {self.tolerance}"
        return None


def _softmax(logits: Sequence[float]) -> list[float]:
    highest = max(logits)
    weights = [math.exp(logit - highest) for logit in logits]
    return [weight / sum(weights) for weight in weights]
