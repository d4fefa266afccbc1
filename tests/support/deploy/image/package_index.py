"""A package index on 127.0.0.1 with one package, taken from wherever this interpreter's pip takes it."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing on the test's terminal."""


@contextmanager
def package_index(requirement: str, folder: Path) -> Iterator[str]:
    """Serve one package until the block ends, and give the index's URL; skip the test where it cannot be had.

    A listing of a folder is an index in the form of PEP 503: links, one for each file.

    Args:
        requirement: Such as `torch==2.13.0`.
        folder: Where to keep it.
    """
    package = re.split(r"[=<>!~ ]", requirement, maxsplit=1)[0]
    options = (
        "--no-deps",
        "--only-binary",
        ":all:",
        "--python-version",
        "3.11",
        "--dest",
        str(folder / package),
    )
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", *options, requirement],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if fetched.returncode != 0:
        pytest.skip(f"{requirement} cannot be had: {fetched.stderr.strip()[-300:]}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
