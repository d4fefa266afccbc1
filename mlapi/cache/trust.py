"""What TLS connections to Redis check its certificate with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.errors import ConfigurationError, reason_of

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


class Trust:
    """One TLS context for all connections, made anew when the file of certificates was replaced.

    Making one reads every certificate of the system: far too much for each connection, or for an event loop.
    """

    def __init__(self, ca_file: Path | None) -> None:
        """Keep whom to trust; nothing is read here.

        Args:
            ca_file: Certificates in PEM that alone are trusted, in place of the system's.
        """
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[int, int] | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context.

        Raises:
            ConfigurationError: There are no certificates in the file.
        """
        stamp = self._read_stamp()
        if self._context is None or stamp != self._stamp:
            self._context, self._stamp = self._make(), stamp
        return self._context

    def _make(self) -> ssl.SSLContext:
        import ssl

        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except ssl.SSLError:
            reason = "it holds no certificate in PEM"
        except (OSError, ValueError) as error:
            reason = reason_of(error)
        raise ConfigurationError(f"MLAPI_REDIS_CA_FILE: {self._ca_file} cannot be used: {reason}")

    def _read_stamp(self) -> tuple[int, int] | None:
        """Return what changes with the file; None without one, or while it is away."""
        if self._ca_file is None:
            return None
        try:
            status = self._ca_file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino
