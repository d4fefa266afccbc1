"""Every supported architecture, exported and served: torch, ONNX Runtime and OpenVINO say the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlapi.engines.factory import load_classifier
from mlapi.errors import ModelError
from mlapi.models.architectures import ARCHITECTURES
from tests.support.random_models import FAMILIES, LONG_TEXT, TEXTS, make_family
from tests.support.text_sets import text_set

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mlapi.models.manifest import Manifest

pytestmark = pytest.mark.torch

TOLERANCE = 1e-4
FLOAT = ("torch-fp32", "onnx-fp32", "openvino-fp32")
MANY_LABELLED = ("distilbert", "roberta", "deberta-v2")
"""Tried with several labels for a text, too: a plain head, and two with layers of their own."""

TWO, THREE = ("NEGATIVE", "POSITIVE"), ("CALM", "LOUD", "ODD")


@pytest.fixture(
    scope="module",
    params=[
        *((family, TWO, None) for family in FAMILIES),
        *((family, THREE, "multi_label_classification") for family in MANY_LABELLED),
    ],
    ids=lambda param: f"{param[0]}-{len(param[1])}",
)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Manifest]:
    """A small random model of each architecture, with two labels and softmax, and with three and sigmoid."""
    from mlapi.training.exporter import export_directory

    family, labels, problem_type = request.param
    model, tokenizer = make_family(family, labels=labels, problem_type=problem_type)
    out = tmp_path_factory.mktemp("models") / family
    exported = export_directory(
        model,
        tokenizer,
        out,
        name=family,
        variants=FLOAT,
        calibration=text_set("calibration", TEXTS[:4]),
        gate=text_set("gate", TEXTS[4:]),
        golden_texts=TEXTS[:3],
    )
    assert exported.refused == {}
    return out, exported.manifest


def answers(path: Path, variant: str) -> NDArray[np.float32]:
    """Return the logits of all texts in one padded batch, then of some alone."""
    classifier = load_classifier(path, variant=variant, threads=1)
    try:
        encodings = classifier.encode(TEXTS)
        (long,) = classifier.encode([LONG_TEXT])
        assert long.length == 512
        batches = [encodings, *([encoding] for encoding in encodings[:4]), [encodings[7], long]]
        return np.concatenate([classifier.logits(batch) for batch in batches])
    finally:
        classifier.close()


def test_all_engines_give_the_same_logits(exported: tuple[Path, Manifest]) -> None:
    """If it fails, an architecture that is said to be supported answers differently in one of the engines."""
    path, manifest = exported
    by_torch = answers(path, "torch-fp32")
    assert (np.ptp(by_torch, axis=0) >= 1).all(), "these answers hardly differ, so nothing is compared"
    for variant in FLOAT[1:]:
        np.testing.assert_allclose(answers(path, variant), by_torch, atol=TOLERANCE, rtol=0)
    assert manifest.activation == ("sigmoid" if len(manifest.labels) == len(THREE) else "softmax")


def test_every_supported_architecture_is_among_them() -> None:
    """If it fails, an architecture is offered that no test has proven."""
    import transformers

    proven = {getattr(transformers, f"{family.prefix}Config").model_type for family in FAMILIES.values()}
    assert proven == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_labels": 1, "id2label": {"0": "SCORE"}}, "two or more labels"),
        ({"problem_type": "regression"}, "two or more labels"),
        ({"architectures": ["BertModel"]}, "no sequence classifier"),
        ({"model_type": "gpt2"}, "not supported"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "never run"),
    ],
)
def test_what_is_no_classifier_is_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    """If it fails, a model that cannot be served is refused late, or served with scores that mean nothing."""
    from mlapi.training.incoming import read_incoming

    model, _ = make_family("bert")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelError, match=said):
        read_incoming(tmp_path)
