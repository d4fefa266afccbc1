"""What of a real service's memory is in huge pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.http_server import ServerProcess, wait_until
from tests.support.huge_pages import in_bytes, needs_kernel

STARTER = Path(__file__).parents[2] / "models" / "starter"


@pytest.mark.parametrize("workers", [1, 2])
@needs_kernel
def test_the_weights_of_a_model_are_in_huge_pages_when_it_is_ready(workers: int) -> None:
    """If it fails, each call looks the addresses of its weights up page by page."""
    options = ["--threads", "1", "--variant", "openvino-int8", "--workers", str(workers)]
    with ServerProcess(STARTER, *options) as server:
        wait_until(lambda: server.log.count("huge pages: ") == workers)
        wait_until(lambda: server.log.count("ready: ") == workers)
        assert server.log.rindex("huge pages: ") < server.log.rindex("ready: ")
        told = [int(mib) for mib in re.findall(r"huge pages: (\d+) MiB", server.log)]
        assert len(told) == workers
        if workers == 1 and "no more" not in server.log:
            assert in_bytes("AnonHugePages", process=server.pid) >> 20 >= told[0] / 2
            assert told[0] << 20 > in_bytes("Anonymous", process=server.pid) / 3
        assert server.stop() == 0
