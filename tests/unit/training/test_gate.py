"""The gate that int8 variants pass or fail, on answers that are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.errors import GateFailed
from mlapi.training.data import DataError
from mlapi.training.gate import check_disjoint, judge
from mlapi.training.labelled import shipped
from mlapi.training.scoring import Scores
from tests.support.text_sets import text_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlapi.models.manifest import Gate

CALIBRATION = text_set("calibration", ["something else"])


def _answers(labels: Sequence[int], *, variant: str = "onnx-fp32", doubt: float = 0.1) -> Scores:
    probabilities = np.full((len(labels), 2), doubt, dtype=np.float32)
    probabilities[np.arange(len(labels)), list(labels)] = 1 - doubt
    lengths = np.linspace(4, 512, len(labels)).astype(np.int64)
    return Scores(variant, probabilities, lengths, max_length=512, seconds=1.0)


def _judged(
    total: int, *, flipped: Sequence[int] = (), wrong: Sequence[int] = (), labelled: bool = True
) -> Gate:
    """Judge a variant that answers otherwise on some rows; float32 is wrong on others."""
    truth = [row % 2 for row in range(total)]
    before = [1 - label if row in wrong else label for row, label in enumerate(truth)]
    after = [1 - label if row in flipped else label for row, label in enumerate(before)]
    texts = text_set("gate", [f"text {row}" for row in range(total)], truth if labelled else None)
    return judge(
        _answers(before),
        _answers(after, variant="openvino-int8", doubt=0.2),
        texts,
        calibration=CALIBRATION,
        activation="softmax",
    )


def test_equal_answers_pass_and_everything_is_recorded() -> None:
    """If it fails, a manifest does not say what an int8 variant was held against."""
    gate = _judged(600, wrong=[3])
    assert (gate.texts, gate.labelled, gate.agreement, gate.accuracy_loss) == (600, 600, 1.0, 0.0)
    assert gate.mean_difference == pytest.approx(0.1, abs=1e-6)
    assert gate.largest_difference == pytest.approx(0.1, abs=1e-6)
    assert gate.not_gated == ()
    assert list(gate.data) == ["gate.tsv"]
    assert list(gate.calibration) == ["calibration.tsv"]


@pytest.mark.parametrize(("flips", "passes"), [(5, True), (6, False)])
def test_more_than_half_a_point_of_accuracy_is_too_much(flips: int, *, passes: bool) -> None:
    """If it fails, a variant ships that is measurably worse, or one is refused that is not."""
    if passes:
        assert _judged(1000, flipped=range(flips)).accuracy_loss == pytest.approx(0.5)
        return
    with pytest.raises(GateFailed, match=r"loses 0\.60 points of accuracy \(1000 of 1000 right before, 994"):
        _judged(1000, flipped=range(flips))


@pytest.mark.parametrize(("flips", "passes"), [(10, True), (11, False)])
def test_other_labels_on_more_than_one_percent_are_too_many(flips: int, *, passes: bool) -> None:
    """If it fails, a variant whose errors cancel out passes for one that answers the same."""
    # Every other flip mends what float32 had wrong, so that no accuracy is lost.
    rows = range(flips)
    wrong = [row for row in rows if row % 2 == 0]
    if passes:
        assert _judged(1000, flipped=rows, wrong=wrong).agreement == pytest.approx(0.99)
        return
    with pytest.raises(GateFailed, match=r"agrees on 989 of 1000 labels \(98\.90 %\), at least 99"):
        _judged(1000, flipped=rows, wrong=wrong)


def test_without_labels_agreement_is_judged_and_the_rest_is_said() -> None:
    """If it fails, a manifest suggests an accuracy that nobody looked at."""
    gate = _judged(600, labelled=False)
    assert (gate.labelled, gate.accuracy_loss) == (0, None)
    assert gate.not_gated == ("accuracy: 0 of the 600 gate texts are labelled, fewer than 500",)
    with pytest.raises(GateFailed, match="agrees on 590 of 600"):
        _judged(600, flipped=range(10), labelled=False)


def test_few_texts_are_judged_by_agreement_alone_and_said_to_be_few() -> None:
    """If it fails, one text of a handful decides about a point of accuracy."""
    gate = _judged(499, flipped=range(4))
    assert gate.accuracy_loss is None
    assert [note.split(":")[0].split(" was")[0] for note in gate.not_gated] == ["accuracy", "agreement"]


def test_texts_of_both_sets_are_refused_with_their_lines() -> None:
    """If it fails, a variant is judged by texts that its scales were fitted to."""
    gate = text_set("gate", ["new", "  Café au lait ", "newer"])
    with pytest.raises(DataError, match=r"gate\.tsv shares 1 of its 3 texts .*\(line 3 of gate\.tsv\)"):
        check_disjoint(text_set("calibration", ["CAFE\u0301 AU LAIT"]), gate)
    check_disjoint(text_set("calibration", ["newest"]), gate)


@pytest.mark.parametrize("labels", [("NEGATIVE", "POSITIVE"), ("positive", "negative")])
def test_shipped_sets_are_fit_to_gate_by(labels: tuple[str, str]) -> None:
    """If it fails, models are gated by too few texts, by one-sided ones, or by those they were fitted to."""
    calibration, gate = shipped("calibration", labels), shipped("gate", labels)
    check_disjoint(calibration, gate)
    assert len(calibration.texts) >= 300
    assert gate.labelled == len(gate.texts) >= 500
    praise = [name.casefold() for name in labels].index("positive")
    assert 0.4 < sum(label == (praise,) for label in gate.labels) / len(gate.labels) < 0.6
    words = sorted(len(text.split()) for text in gate.texts)
    assert words[0] <= 2
    assert words[-1] >= 300
    hooked = gate.texts.index("I'm hooked")
    assert gate.labels[hooked] == (praise,)


def test_shipped_labels_mean_nothing_to_a_model_with_others() -> None:
    """If it fails, LABEL_1 is taken for praise, and the gate counts right answers as wrong."""
    gate = shipped("gate", ("LABEL_0", "LABEL_1"))
    assert gate.labelled == 0
    assert len(gate.texts) >= 500
