"""The target with PyTorch: it builds, and the torch engine answers in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.image.image import TAG, build, torch_version
from tests.support.deploy.image.package_index import package_index
from tests.support.deploy.image.service_container import running_service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.deploy.engine import Engine

pytestmark = [pytest.mark.container, pytest.mark.slow]


@pytest.fixture(scope="module")
def image(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, with the build of PyTorch that this interpreter's pip gets."""
    folder: Path = tmp_path_factory.mktemp("index")
    tag = f"{TAG}:runtime-torch"
    with package_index(f"torch=={torch_version()}", folder) as index:
        build(engine, tag, target="runtime-torch", arguments={"TORCH_INDEX": index})
    return tag


def test_the_torch_engine_answers(engine: Engine, image: str) -> None:
    """If it fails, what was trimmed was needed, and the reference engine cannot be run in a cluster."""
    with running_service(engine, image, memory="2g", variables={"MLAPI_VARIANT": "torch-fp32"}) as service:
        assert service.client.get("/health").json()["engine"] == "torch"
        answer = service.client.post(
            "/predict", json={"text": "A warm, funny film with a wonderful cast."}
        ).json()
        assert answer["prediction"][0]["label"] == "POSITIVE"


def test_every_variant_can_be_checked_in_it(engine: Engine, image: str) -> None:
    """If it fails, the image lacks an engine that one of its variants needs."""
    verify = ("run", "--rm", "--read-only", "--tmpfs", "/tmp", image, "model", "verify", "/models/default")
    told = engine.run(*verify)
    assert "ok    variant torch-fp32" in told
    assert "not checked" not in told


def test_it_is_built_for_the_cpu(engine: Engine, image: str) -> None:
    """If it fails, gigabytes of CUDA are shipped to machines that have no GPU."""
    show = ("run", "--rm", "--entrypoint", "python", image, "-c", "import torch; print(torch.version.cuda)")
    assert engine.run(*show) == "None"
