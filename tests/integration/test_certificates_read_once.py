"""How often the service reads the certificates that it trusts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.certificates import make_authority
from tests.support.http_server import ServerProcess, wait_until
from tests.support.tls_proxy import TlsProxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.redis_server import RedisServer

COUNTING = """
import ssl, sys
make = ssl.create_default_context

def count(*args, cafile=None, **options):
    if cafile is not None:
        print("certificates are read", file=sys.stderr, flush=True)
    return make(*args, cafile=cafile, **options)

ssl.create_default_context = count
"""


def test_once_for_all_connections(tiny_model: Path, tmp_path: Path, redis_server: RedisServer) -> None:
    """If it fails, each start spends time on reading what it has, some of it on the event loop."""
    (tmp_path / "sitecustomize.py").write_text(COUNTING, encoding="utf-8")
    authority = make_authority(tmp_path / "ca")
    with TlsProxy(authority.server_context("DNS:localhost"), redis_server.port) as proxy:
        environment = {
            "PYTHONPATH": str(tmp_path),
            "REDIS_URL": f"rediss://localhost:{proxy.port}",
            "MLAPI_REDIS_CA_FILE": str(authority.ca_file),
        }
        with ServerProcess(tiny_model, environment=environment) as server:
            wait_until(lambda: server.client.get("/health").json()["cache"] == "ok")
            assert server.log.count("certificates are read") == 1
