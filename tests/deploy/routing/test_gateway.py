"""A real service behind a real Envoy with the component `istio-gateway`: TLS, and nothing without it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.deploy.envoy.config import bootstrap
from tests.support.deploy.envoy.process import Envoy
from tests.support.deploy.envoy.routed_renders import API, NAME, OWN_GATEWAY, with_own_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the public name, signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not on PATH: no certificate can be made")
    folder = tmp_path_factory.mktemp("certificate")
    chain, key = folder / "tls.crt", folder / "tls.key"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    command += ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(chain)]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


@pytest.fixture(scope="module")
def envoy(
    tmp_path_factory: pytest.TempPathFactory, starter_port: int, certificate: tuple[Path, Path]
) -> Iterator[Envoy]:
    """Envoy as the project's own gateway."""
    objects = with_own_gateway(tmp_path_factory.mktemp("layer"))
    certificates = {OWN_GATEWAY["tlsSecret"]: certificate}
    config = bootstrap(objects, {"mlapi": [starter_port]}, certificates=certificates)
    with Envoy(config, tmp_path_factory.mktemp("envoy")) as running:
        yield running


def test_the_name_is_served_over_tls(envoy: Envoy, certificate: tuple[Path, Path]) -> None:
    """Clients would find no certificate for the name, or no service behind it."""
    answer = envoy.client("https", NAME, ca=certificate[0]).get("/project/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "healthy"


def test_another_name_gets_no_certificate(envoy: Envoy, certificate: tuple[Path, Path]) -> None:
    """Another team's name would be answered with this certificate."""
    with pytest.raises(httpx.TransportError):
        envoy.client("https", "other.example.com", ca=certificate[0]).get("/project/health")


def test_without_tls_there_is_nothing_but_the_way_to_it(envoy: Envoy) -> None:
    """Texts would travel in the clear."""
    before = envoy.stats(API)["upstream_rq_total"]
    client = envoy.client("http", NAME)
    answer = client.post("/project/predict", json={"text": "private"})
    assert answer.status_code == 301
    assert answer.headers["location"] == f"https://{NAME}/project/predict"
    assert client.get("/nowhere").status_code == 301
    assert envoy.stats(API)["upstream_rq_total"] == before
