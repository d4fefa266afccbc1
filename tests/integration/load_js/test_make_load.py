"""`make load`: a service of its own, or the one that it is told of."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from scripts.load import has_address, main
from tests.support.http_server import REPOSITORY, clean_environment
from tests.support.k6 import find_k6

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "environment", "given"),
    [
        ([], {}, False),
        (["-q", "-e", "USERS=2"], {"BASE_URL": "", "DOMAIN": "example.com"}, False),
        ([], {"BASE_URL": "http://127.0.0.1:1"}, True),
        ([], {"NAMESPACE": "reviews"}, True),
        (["-e", "BASE_URL=http://127.0.0.1:1"], {}, True),
        (["-eNAMESPACE=reviews"], {}, True),
        (["--env=BASE_URL=http://127.0.0.1:1"], {}, True),
    ],
)
def test_make_load_sees_where_the_service_is(
    arguments: list[str], environment: dict[str, str], given: bool
) -> None:
    """If it fails, `make load` starts a service of its own although it was given one, or asks none."""
    assert has_address(arguments, environment) is given


def test_make_load_says_where_to_get_k6() -> None:
    """If it fails, a newcomer without k6 sees a traceback."""
    with pytest.raises(SystemExit, match="make venv-dev installs it"):
        main([], k6=None)


def test_make_load_starts_and_ends_a_service(tmp_path: Path) -> None:
    """If it fails, `make load` needs a service that someone else started, or leaves its own running."""
    done = subprocess.run(
        [sys.executable, "-m", "scripts.load", "--quiet", "--address", "", "-e", "HOLD=1s"],
        cwd=REPOSITORY,
        env=clean_environment(
            {
                "PATH": f"{find_k6().rpartition('/')[0]}:{sys.exec_prefix}/bin:/usr/bin:/bin",
                "MLAPI_MODEL": "models/lab",
                "MLAPI_PREFIX": "/lab",
                "RAMP_UP": "0s",
                "RAMP_DOWN": "0s",
                "SUMMARY": str(tmp_path / "summary.json"),
            }
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (port,) = re.findall(
        r"^mlapi serve is ready on http://127\.0\.0\.1:(\d+)/lab$", done.stdout, re.MULTILINE
    )
    assert "✗" not in done.stdout
    assert json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["settings"]["hold"] == "1s"
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
