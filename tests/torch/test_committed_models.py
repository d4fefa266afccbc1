"""The two models that the repository carries: what their manifests claim."""

from __future__ import annotations

import pytest

from mlapi.models.directory import ModelDirectory
from mlapi.training.data import read_splits
from mlapi.training.evaluate import measure_variant
from tests.support.sst2 import sst2_directory

pytestmark = pytest.mark.torch

LIMITS = {"starter": 25_000_000, "lab": 1_500_000}
FLOORS = {"starter": 0.875, "lab": 0.81}


@pytest.mark.parametrize("name", LIMITS)
def test_models_are_small_enough_for_a_repository(name: str, pytestconfig: pytest.Config) -> None:
    """If this fails, every clone downloads more than was agreed, or files without a digest."""
    directory = ModelDirectory.open(pytestconfig.rootpath / "models" / name)
    files = [path for path in directory.path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LIMITS[name]
    listed = {path.relative_to(directory.path).as_posix() for path in files} - {"manifest.json"}
    assert listed == set(directory.manifest.files)


@pytest.mark.parametrize("variant", ["starter/torch-fp32", "starter/openvino-int8", "lab/lab-fp32"])
def test_accuracy_on_dev_is_the_recorded_one(variant: str, pytestconfig: pytest.Config) -> None:
    """If this fails, a manifest or model card claims an accuracy that the committed files do not have."""
    name, _, variant = variant.partition("/")
    directory = ModelDirectory.open(pytestconfig.rootpath / "models" / name)
    recorded = directory.manifest.variants[variant].measured["dev"]
    dev = read_splits(sst2_directory()).dev
    assert measure_variant(directory.path, variant, [dev], threads=2)["dev"] == recorded
    assert recorded.accuracy >= FLOORS[name]
