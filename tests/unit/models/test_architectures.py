from __future__ import annotations

from typing import Any

import pytest

from mlapi.errors import ModelError
from mlapi.models.architectures import ARCHITECTURES, check_config, label_names
from tests.support.hub_models import CONFIG

THREE = {"0": "bad", "1": "fair", "2": "good"}


@pytest.mark.parametrize("model_type", sorted(ARCHITECTURES))
def test_supported_classifiers_are_taken(model_type: str) -> None:
    """If it fails, a model that the project claims to support is refused."""
    config = {**CONFIG, "model_type": model_type, "architectures": [ARCHITECTURES[model_type]]}
    check_config(config)
    check_config({**config, "id2label": THREE, "problem_type": "multi_label_classification"})
    check_config({**config, "problem_type": "single_label_classification"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "gpt2"}, "'gpt2' in config.json is not supported"),
        ({"model_type": None}, "None in config.json is not supported"),
        ({"model_type": ["bert"]}, "is not supported"),
        ({"architectures": ["DistilBertModel"]}, "names DistilBertModel, not"),
        ({"architectures": ["BertForSequenceClassification"]}, "names BertForSequenceClassification, not"),
        ({"architectures": None}, "names nothing, not"),
        ({"architectures": []}, "names nothing, not"),
        ({"auto_map": {"AutoModel": "modeling.Own"}}, "code of its own"),
        ({"problem_type": "regression"}, "two or more labels"),
        ({"id2label": {"0": "score"}}, "1 label"),
        ({"id2label": None, "num_labels": 1}, "1 label"),
        ({"id2label": {"0": "a", "1": "a"}}, "same name"),
        ({"id2label": {"1": "a", "2": "b"}}, "does not number"),
        ({"id2label": {"first": "a"}}, "does not number"),
        ({"id2label": ["a", "b"]}, "does not number"),
        ({"quantization_config": {"bits": 4}}, "quantised already"),
    ],
)
def test_everything_else_is_refused(change: dict[str, Any], says: str) -> None:
    """If it fails, a model that cannot be served is found out after its export, or while it is served."""
    with pytest.raises(ModelError, match=says):
        check_config({**CONFIG, **change})


def test_labels_are_read_as_transformers_reads_them() -> None:
    """If it fails, labels are in another order than the logits, or lost where only their number is given."""
    assert label_names({"id2label": {"1": "b", "0": "a"}}) == ("a", "b")
    assert label_names({}) == ("LABEL_0", "LABEL_1")
    assert label_names({"num_labels": 3}) == ("LABEL_0", "LABEL_1", "LABEL_2")
