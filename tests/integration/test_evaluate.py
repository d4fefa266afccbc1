"""`mlapi model evaluate`, run as a process."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from mlapi.models.manifest import read_manifest
from tests.support.http_server import REPOSITORY, run_cli
from tests.support.model_directory import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

ROWS = (("a great film", 1), ("a dull plot", 0), ("brilliant", 1), ("terrible music", 0), ("it was", 0))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of labelled texts."""
    path = tmp_path / "reviews.tsv"
    lines = ["sentence\tlabel", *(f"{text}\t{label}" for text, label in ROWS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with a float32 variant and one that stands a little beside it."""
    return make_tiny_model(tmp_path / "model", variants={"onnx-fp32": 0.0, "openvino-fp32": 0.0}).path


def test_table_has_a_row_for_each_variant(model: Path, data: Path) -> None:
    """If it fails, a modeller does not see what was measured, or not of which variant."""
    done = run_cli("model", "evaluate", str(model), "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert "reviews.tsv: 5 texts, 5 labelled (NEGATIVE 3, POSITIVE 2)" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("onnx-", "openvino-"))]
    assert [row[0] for row in rows] == ["onnx-fp32", "openvino-fp32"]
    assert "great film" not in done.stdout + done.stderr


def test_json_holds_every_figure(model: Path, data: Path) -> None:
    """If it fails, a script that compares models reads nothing, or half of it."""
    done = run_cli("model", "evaluate", str(model), "--data", str(data), "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["reference"] == "onnx-fp32"
    assert list(report["variants"]) == ["onnx-fp32", "openvino-fp32"]
    figures = report["variants"]["openvino-fp32"]
    quality = figures["quality"]
    assert quality["correct"] / quality["total"] == quality["accuracy"]
    assert quality["interval"][0] < quality["accuracy"] <= quality["interval"][1]
    assert {"macro_f1", "calibration_error", "bins", "confusion"} <= set(quality)
    assert sum(sum(row) for row in quality["confusion"]) == len(ROWS)
    text = json.dumps(figures)
    for name in ("agreement", "mean_difference", "largest_difference", "texts_per_second", "latency"):
        assert name in text
    assert "great film" not in done.stdout


def test_named_variants_alone_are_evaluated(model: Path, data: Path) -> None:
    """If it fails, one waits for variants that nobody asked about."""
    arguments = ("model", "evaluate", str(model), "--data", str(data), "--json", "-")
    done = run_cli(*arguments, "--variant", "openvino-fp32")
    report = json.loads(done.stdout)
    assert list(report["variants"]) == ["openvino-fp32"]
    assert report["reference"] == "onnx-fp32"
    assert report["variants"]["openvino-fp32"]["closeness"]["agreement"] == 1.0


def test_missing_reference_is_explained(tmp_path: Path, data: Path) -> None:
    """If it fails, a column of dashes does not say what stands in the way of a comparison with float32."""
    variants = {"onnx-fp32": 3.0, "openvino-int8": 0.0}
    path = make_tiny_model(tmp_path / "broken", variants=variants).path
    done = run_cli("model", "evaluate", str(path), "--data", str(data), "--variant", "openvino-int8")
    assert done.returncode == 1
    assert "no float32 variant can be run here" in done.stdout
    assert "wrong, not evaluated: onnx-fp32: " in done.stdout


def test_the_starter_is_evaluated_as_it_is_served(data: Path) -> None:
    """If it fails, the command's first example does not work in an environment without torch."""
    arguments = ("model", "evaluate", str(REPOSITORY / "models/starter"), "--data", str(data), "--json", "-")
    done = run_cli(*arguments, "--variant", "auto", "--variant", "onnx-int8")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["variants"]
    assert {"onnx-int8", "openvino-int8"} >= set(figures) >= {"onnx-int8"}
    assert figures["onnx-int8"]["quality"]["correct"] >= 3
    assert done.stderr == ""


def test_progress_and_text_stay_out_of_standard_error(model: Path, tmp_path: Path) -> None:
    """If it fails, a log that captures standard error holds what people wrote."""
    data = tmp_path / "private.tsv"
    data.write_text("sentence\tlabel\nmy secret illness\t1\nmore secrets\tperhaps\n", encoding="utf-8")
    done = run_cli("model", "evaluate", str(model), "--data", str(data))
    assert done.returncode == 1
    assert "private.tsv, line 3" in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_accuracies_are_recorded_where_asked(model: Path, data: Path) -> None:
    """If it fails, the manifest does not say what was measured, or is written unasked."""
    before = (model / "manifest.json").read_bytes()
    assert run_cli("model", "evaluate", str(model), "--data", str(data)).returncode == 0
    assert (model / "manifest.json").read_bytes() == before
    assert run_cli("model", "evaluate", str(model), "--data", str(data), "--record").returncode == 0
    for variant in read_manifest(model).variants.values():
        assert variant.measured["reviews"].total == len(ROWS)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--data", "nowhere.tsv"), "nowhere.tsv cannot be read"),
        (("--data", "{model}/config.json"), "line 1: expected the header"),
        (("--data", "{data}", "--variant", "fp8"), "has no variant 'fp8'"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    model: Path, data: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    """If it fails, a slip on the command line ends in a traceback, or with status 0."""
    given = [argument.format(model=model, data=data) for argument in arguments]
    done = run_cli("model", "evaluate", str(model), *given)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_variant_that_answers_otherwise_than_recorded_is_named(tmp_path: Path, data: Path) -> None:
    """If it fails, a broken variant is passed over in silence, and the report looks complete."""
    path = make_tiny_model(tmp_path / "broken", variants={"onnx-fp32": 0.0, "openvino-fp32": 3.0}).path
    done = run_cli("model", "evaluate", str(path), "--data", str(data))
    assert done.returncode == 1
    assert "openvino-fp32" in done.stdout + done.stderr
    assert "golden text" in done.stdout + done.stderr


def test_pictures_are_drawn_or_matplotlib_is_asked_for(model: Path, data: Path, tmp_path: Path) -> None:
    """If it fails, --pictures ends in a traceback without matplotlib, or draws nothing with it."""
    folder = tmp_path / "pictures"
    done = run_cli("model", "evaluate", str(model), "--data", str(data), "--pictures", str(folder))
    if find_spec("matplotlib") is None:
        assert done.returncode == 1
        assert "matplotlib" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        return
    assert done.returncode == 0, done.stderr
    drawn = sorted(path.name for path in folder.iterdir())
    assert len(drawn) == 4
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())
