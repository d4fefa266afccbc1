"""The gate: a quantised variant that answers too differently from float32 is not written."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from mlapi.errors import GateFailed
from mlapi.models.manifest import Gate
from mlapi.training.data import DataError
from mlapi.training.figures import agreeing, decided, differences, indicator
from mlapi.training.labelled import FIRST_LINE
from mlapi.training.scoring import Scores, score

if TYPE_CHECKING:
    from mlapi.training.labelled import TextSet
    from mlapi.types import Activation

__all__ = ["Scores", "check_disjoint", "judge", "score"]

LARGEST_LOSS = 0.5
"""Points of accuracy that a variant may lose."""

LEAST_AGREEMENT = 99
"""Percent of the texts that must get the same label."""

ENOUGH = 500
"""Texts below which a figure proves little: half a point is then two texts or fewer."""

SHORTEST, LONGEST = 4, 512
"""Tokens that the gate texts are to cover, as far as the model takes them."""

NAMED_LINES = 10


def judge(
    reference: Scores,
    candidate: Scores,
    texts: TextSet,
    *,
    calibration: TextSet,
    activation: Activation,
    remedy: str | None = None,
) -> Gate:
    """Hold a variant against the float32 one.

    Accuracy is judged where at least 500 texts are labelled; agreement always, and noted where there are
    fewer texts than that. Two answers agree when they give the same label; with sigmoid, when every label is
    on the same side of 0.5.

    Args:
        reference: What float32 says of the gate texts.
        candidate: What the variant says of them.
        texts: The gate texts.
        calibration: The texts that the variant was calibrated on.
        activation: The model's activation.
        remedy: What was done beyond plain quantisation.

    Returns:
        What goes into the manifest.

    Raises:
        GateFailed: The variant loses more than 0.5 points of accuracy, or agrees on under 99 % of the labels.
        DataError: Gate and calibration share texts, or a label is not one that the model can give.
        ValueError: The scores are not those of these texts.
    """
    check_disjoint(calibration, texts)
    texts.check_labels(activation)
    total, width = reference.probabilities.shape
    if candidate.probabilities.shape != (total, width) or total != len(texts.texts):
        raise ValueError("reference, candidate and texts differ in length or labels")
    rows = np.array([row for row, label in enumerate(texts.labels) if label is not None], dtype=np.int64)
    truth = indicator([texts.labels[row] or () for row in rows], width)
    before, after = (decided(scores.probabilities, activation) for scores in (reference, candidate))
    agree = agreeing(before, after)
    mean, largest = differences(reference.probabilities, candidate.probabilities)
    right_before, right_after = agreeing(before[rows], truth), agreeing(after[rows], truth)
    lost = right_before - right_after
    accuracy_gated = len(rows) >= ENOUGH
    faults = []
    if accuracy_gated and 100 * lost > LARGEST_LOSS * len(rows):
        faults.append(
            f"it loses {100 * lost / len(rows):.2f} points of accuracy ({right_before} of {len(rows)} right "
            f"before, {right_after} after), at most {LARGEST_LOSS} may be lost"
        )
    if 100 * agree < LEAST_AGREEMENT * total:
        faults.append(
            f"it agrees on {agree} of {total} labels ({100 * agree / total:.2f} %), at least "
            f"{LEAST_AGREEMENT} % are due"
        )
    if faults:
        raise GateFailed(
            f"{candidate.variant} fails the gate against {reference.variant} on {texts.name}: "
            f"{'; '.join(faults)}{f' (tried: {remedy})' if remedy else ''}"
        )
    return Gate(
        texts=total,
        labelled=len(rows),
        data={texts.name: texts.sha256},
        calibration={calibration.name: calibration.sha256},
        agreement=round(agree / total, 6),
        accuracy_loss=round(100 * lost / len(rows), 4) if accuracy_gated else None,
        mean_difference=round(mean, 8),
        largest_difference=round(largest, 8),
        not_gated=tuple(_not_gated(reference, total=total, labelled=len(rows))),
        remedy=remedy,
    )


def check_disjoint(calibration: TextSet, gate: TextSet) -> None:
    """Check that no text is in both sets, whatever its case or the spaces around it.

    Raises:
        DataError: Some are; says how many and on which lines of the gate.
    """
    seen = {text_digest(text) for text in calibration.texts}
    shared = [line for line, text in enumerate(gate.texts, start=FIRST_LINE) if text_digest(text) in seen]
    if shared:
        lines = ", ".join(map(str, shared[:NAMED_LINES])) + (", …" if len(shared) > NAMED_LINES else "")
        raise DataError(
            f"{gate.name} shares {len(shared)} of its {len(gate.texts)} texts with {calibration.name} (line "
            f"{lines} of {gate.name}): a gate judges by texts that the calibration has not seen; take them "
            "out of one of the two"
        )


def text_digest(text: str) -> bytes:
    """Digest a text so that two that differ in Unicode form, case or outer spaces alone count as one."""
    return hashlib.sha256(unicodedata.normalize("NFC", text).strip().casefold().encode()).digest()


def _not_gated(reference: Scores, *, total: int, labelled: int) -> list[str]:
    notes = []
    if labelled < ENOUGH:
        notes.append(f"accuracy: {labelled} of the {total} gate texts are labelled, fewer than {ENOUGH}")
    if total < ENOUGH:
        notes.append(f"agreement was judged on {total} gate texts only, fewer than {ENOUGH}")
    shortest, longest = int(reference.lengths.min()), int(reference.lengths.max())
    if reference.max_length is None:
        return notes
    if longest < min(reference.max_length, LONGEST):
        notes.append(f"texts of more than {longest} tokens: the gate has none")
    if shortest > SHORTEST:
        notes.append(f"texts of fewer than {shortest} tokens: the gate has none")
    return notes
