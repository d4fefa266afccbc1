"""What TLS connections to Redis check its certificate with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from mlapi.cache.access import RedisAccess


class Trust:
    """One TLS context for all connections, made anew when the file of certificates was replaced.

    Making one reads every certificate of the system, on the event loop: far too much for each connection.
    """

    def __init__(self, access: RedisAccess) -> None:
        """Keep what to trust; nothing is read here."""
        self._access = access
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[int, int] | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context.

        Raises:
            ConfigurationError: There are no certificates in the file.
        """
        stamp = self._read_stamp()
        if self._context is None or stamp != self._stamp:
            self._context, self._stamp = self._access.tls_context(), stamp
        return self._context

    def _read_stamp(self) -> tuple[int, int] | None:
        """Return what changes with the file; None without one, or while it is away."""
        if self._access.ca_file is None:
            return None
        try:
            status = self._access.ca_file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino
