"""A real image registry on 127.0.0.1: Debian's docker-registry, or any build of the same program."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = ("docker-registry", "registry")
PATIENCE_S = 30
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
)


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Run a registry until the block ends, and give its host and port; skip the test where there is none.

    Engines take registries of 127.0.0.0/8 for trusted without TLS.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("there is no registry to push to: install Debian's package docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    configuration = folder / "registry.json"  # YAML, of which JSON is a part
    configuration.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "error"},
                "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
                "http": {"addr": host},
            }
        ),
        encoding="utf-8",
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(configuration)], stdout=log, stderr=log)
    try:
        _wait(process, host, folder / "registry.log")
        yield host
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def digest_of(host: str, name: str, tag: str) -> str:
    """Ask a registry for the digest that a tag names."""
    answer = httpx.head(f"http://{host}/v2/{name}/manifests/{tag}", headers={"Accept": MANIFESTS})
    return str(answer.raise_for_status().headers["Docker-Content-Digest"])


def _wait(process: subprocess.Popen[bytes], host: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx.get(f"http://{host}/v2/").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the registry did not start:\n{log.read_text('utf-8')}")
        time.sleep(0.05)
