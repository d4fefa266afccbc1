from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mlapi
from tests.support.import_rules import AT_TIME_OF_USE, violations

ROOT = Path(mlapi.__file__).parent


def _tree(root: Path, **files: str) -> Path:
    """Write a small package; `__` in a name stands for a folder."""
    for name, source in files.items():
        file = root / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    return root


def test_package_keeps_the_rules() -> None:
    """If it fails, a layer knows one that it must not know; design and code have parted."""
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("place", "source", "said"),
    [
        ("types", "from mlapi.errors import EngineError", "types may not import errors"),
        ("errors", "import mlapi.types", "errors may not import types"),
        ("ports", "from mlapi import errors", "ports may not import errors"),
        ("settings", "from mlapi.cache.address import parse", "settings may not import cache"),
        ("resources", "import mlapi.settings", "resources may not import settings"),
        ("log", "from . import metrics", "log may not import metrics"),
        ("predictor", "from mlapi.settings import Settings", "predictor may not import settings"),
        ("predictor", "from mlapi.api.schemas import Ask", "predictor may not import api"),
        ("batching", "def f():\n    import mlapi.main", "batching may not import main"),
        ("anything_new", "import mlapi.training.export", "anything_new may not import training"),
        ("anything_new", "import mlapi.cli as c", "anything_new may not import cli"),
        ("server", "from mlapi import serve", "server may not import serve"),
        ("gate__run", "from mlapi.settings import Settings", "gate may not import settings"),
        ("gate__run", "from mlapi.predictor import Predictor", "gate may not import predictor"),
        ("server", "import fastapi", "fastapi may only be imported in api/, main.py"),
        ("engines__onnx", "from mlapi.predictor import Predictor", "engines may not import predictor"),
        ("engines__onnx", "from ..predictor import Predictor", "engines may not import predictor"),
        ("engines__onnx", "from .. import settings", "engines may not import settings"),
        ("models__hub", "from mlapi.engines import factory", "models may not import engines"),
        ("cache__redis", "from mlapi.models.manifest import Golden", "cache may not import models"),
        ("api__routes", "from mlapi.engines.onnx import OnnxEngine", "api may not import engines"),
        ("api__routes", "from mlapi.settings import Settings", "api may not import settings"),
        ("training__train", "from mlapi.api import schemas", "training may not import api"),
        ("main", "def f():\n    from mlapi.training import train", "main may not import training"),
        (
            "predictor",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mlapi.settings import Settings",
            "predictor may not import settings",
        ),
    ],
)
def test_forbidden_knowledge_is_found(tmp_path: Path, place: str, source: str, said: str) -> None:
    """If it fails, the check of the layers is blind on one eye, and its passing says little."""
    (found,) = violations(_tree(tmp_path, **{place: source}))
    assert found == f"{place.replace('__', '/')}.py:{source.count(chr(10)) + 1}: {said}"


@pytest.mark.parametrize(
    ("place", "library"),
    [
        ("predictor", "torch"),
        ("engines__onnx", "torch.nn"),
        ("engines__factory", "onnxruntime"),
        ("engines__onnx", "transformers"),
        ("models__directory", "onnx"),
        ("cache__memory", "redis.asyncio"),
        ("engines__onnx", "tokenizers"),
        ("classifier", "sklearn.linear_model"),
        ("models__manifest", "huggingface_hub"),
        ("predictor", "fastapi"),
        ("metrics", "starlette.types"),
        ("cli", "fastapi.testclient"),
        ("apiary", "fastapi"),
    ],
)
@pytest.mark.parametrize(
    "form", ["import {}", "from {} import thing", "__import__('{}')", "importlib.import_module('{}')"]
)
def test_library_outside_its_own_file_is_found(tmp_path: Path, place: str, library: str, form: str) -> None:
    """If it fails, a heavy library can spread over the package unnoticed."""
    (found,) = violations(_tree(tmp_path, **{place: f"def f():\n    {form.format(library)}"}))
    assert f": {library.partition('.')[0]} may only be imported in " in found


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("engines__torch", "import torch"),
        ("engines__torch", "class A:\n    import transformers"),
        ("engines__onnx", "try:\n    import onnxruntime\nexcept ImportError:\n    pass"),
        ("cache__redis", "from redis.asyncio import Redis"),
        ("cli", "from mlapi.training.export import export_onnx"),
        ("cli", "from mlapi import training"),
        ("cli", "import mlapi.training.client"),
        (
            "engines__tokenizer",
            "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import tokenizers",
        ),
        (
            "engines__tokenizer",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import tokenizers",
        ),
    ],
)
def test_heavy_import_at_the_top_of_a_file_is_found(tmp_path: Path, place: str, source: str) -> None:
    """If it fails, importing a module can pull in seconds of libraries that this process never uses."""
    (found,) = violations(_tree(tmp_path, **{place: source}))
    assert found.endswith("must be imported at the time of use, inside a function")


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("types", "from __future__ import annotations\nimport dataclasses"),
        ("ports", "from mlapi.types import Encoding"),
        ("predictor", "from mlapi import __version__\nfrom mlapi.cache.codec import encode\nimport numpy"),
        ("predictor", "from mlapi import batching, errors, types"),
        ("engines__torch", "def f():\n    import torch, transformers"),
        ("engines__torch", "async def f():\n    import torch"),
        ("engines__onnx", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import onnxruntime"),
        ("training__export", "from mlapi.engines.onnx import OnnxEngine\ndef f():\n    import onnx"),
        ("api__routes", "import fastapi\nfrom . import schemas\nfrom mlapi.predictor import Predictor"),
        ("main", "import os\nfrom mlapi.settings import Settings\nimport fastapi\nos.environ['A']"),
        ("cli", "def f():\n    from mlapi.training.export import export_onnx"),
        ("training__network", "import torch\nfrom mlapi.training import data"),
        ("__main__", "from mlapi.cli import app"),
        ("cli", "from mlapi.training.cli import train_app"),
        ("server", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fastapi import FastAPI"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, place: str, source: str) -> None:
    """If it fails, the check forbids what the design asks for."""
    assert violations(_tree(tmp_path, **{place: source})) == []


@pytest.mark.parametrize(
    "source", ["import os\nos.environ['A']", "import os\nos.getenv('A')", "from os import environ"]
)
def test_reading_the_environment_elsewhere_is_found(tmp_path: Path, source: str) -> None:
    """If it fails, settings can come from places that the settings page does not list."""
    (found,) = violations(_tree(tmp_path, predictor=source))
    assert found.endswith(": reads the environment")


def _modules() -> list[str]:
    files = (file.relative_to(ROOT.parent).with_suffix("") for file in ROOT.rglob("*.py"))
    names = [".".join(file.parts).removesuffix(".__init__") for file in files]
    return sorted(name for name in names if not name.startswith(("mlapi.__main__", "mlapi.training")))


def _loaded_by(*names: str) -> set[str]:
    """Import modules in a fresh interpreter and return the top-level libraries that it then holds."""
    code = f"import json, sys\nimport {', '.join(names)}\nprint(json.dumps(list(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize("name", ["mlapi.main", "mlapi.cli"])
def test_programs_import_no_heavy_library(name: str) -> None:
    """If it fails, every start, and every `mlapi --help`, waits for libraries that it may not need."""
    loaded = _loaded_by(name)
    assert "mlapi" in loaded
    assert loaded & AT_TIME_OF_USE == set()


def test_no_module_imports_a_heavy_library() -> None:
    """If it fails, some module of the service cannot be imported where only the default libraries are."""
    names = _modules()
    assert len(names) > 10
    assert _loaded_by(*names) & AT_TIME_OF_USE == set()
