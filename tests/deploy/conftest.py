"""Fixtures of the tests of image, manifests and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.engine import Engine, find_engine
from tests.support.deploy.image.image import runtime_image
from tests.support.deploy.kustomize import needs_kubectl
from tests.support.deploy.renders import Renders
from tests.support.deploy.scripts.build_push import build_stand_ins
from tests.support.deploy.scripts.checkout import Checkout, make_checkout
from tests.support.deploy.scripts.deployments import Deployment
from tests.support.deploy.scripts.fake_service import FakeService, make_certificate
from tests.support.deploy.scripts.standins import StandIns
from tests.support.http_server import REPOSITORY, HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The container engine; without one the test is skipped."""
    return find_engine()


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The name of the service's image, target `runtime`, with models/starter; built once a session."""
    return runtime_image(engine)


@pytest.fixture(scope="session")
def starter_port() -> Iterator[int]:
    """The port of a service with the committed model."""
    with HttpServer(REPOSITORY / "models" / "starter") as running:
        yield running.port


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of the public name in the values of prod."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "mlapi.example.com")


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Deployment]:
    """deploy.sh dev, in a clone of its own, with Minikube and a service that answer."""
    needs_kubectl()
    with FakeService() as service:
        yield Deployment(tmp_path, "dev", service)


@pytest.fixture
def prod(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Deployment]:
    """deploy.sh prod, in a clone of its own, with a cluster and a gateway that answer."""
    needs_kubectl()
    with FakeService(tls=certificate) as service:
        yield Deployment(tmp_path, "prod", service)


@pytest.fixture(scope="session")
def renders() -> Renders:
    """Renders of the manifests, built when they are asked for."""
    needs_kubectl()
    return Renders()


@pytest.fixture
def checkout(tmp_path: Path, tiny_model: Path) -> Checkout:
    """A clean checkout of what an image is built from, whose starter is a few kilobytes."""
    return make_checkout(tmp_path / "checkout", starter=tiny_model)


@pytest.fixture
def build_tools(tmp_path: Path, checkout: Checkout) -> StandIns:
    """Stand-ins with which build-push.sh succeeds in that checkout."""
    return build_stand_ins(tmp_path / "bin", checkout)
