"""Certificates for tests with TLS: an authority, and servers that it signs for. Made by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

DAYS = "2"
# Written out, because the system's own openssl.cnf may say less than strict checks want.
CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs. Its file of certificates is `ca_file`."""

    folder: Path

    @property
    def ca_file(self) -> Path:
        """The authority's own certificate, in PEM."""
        return self.folder / "ca.pem"

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Return what a server with a certificate for these names needs, like `DNS:host` or `IP:1.2.3.4`."""
        request, key, certificate = (self.folder / f"server.{end}" for end in ("csr", "key", "pem"))
        config = _configuration(self.folder, name="server", names=", ".join(names))
        _openssl("req", "-new", *_fresh_key(key), "-config", config, "-out", request)
        _openssl(
            *("x509", "-req", "-in", request, "-out", certificate, "-days", DAYS),
            *("-CA", self.ca_file, "-CAkey", self.folder / "ca.key", "-set_serial", "1"),
            *("-extfile", config, "-extensions", "server"),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context


def make_authority(folder: Path, *, name: str = "mlapi-test") -> Authority:
    """Make an authority in a folder of its own; skip the test where there is no openssl command."""
    if shutil.which("openssl") is None:
        pytest.skip("tests with TLS make certificates with the openssl command: install it to run them")
    folder.mkdir()
    authority = Authority(folder)
    config = _configuration(folder, name=name, names="DNS:unused")
    _openssl(
        *("req", "-x509", *_fresh_key(folder / "ca.key"), "-config", config, "-extensions", "authority"),
        *("-days", DAYS, "-out", authority.ca_file),
    )
    return authority


def _configuration(folder: Path, *, name: str, names: str) -> Path:
    file = folder / "openssl.cnf"
    file.write_text(CONFIGURATION.format(name=name, names=names), encoding="ascii")
    return file


def _fresh_key(file: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
