"""How the settings say that Redis is reached: for the service, and for those who wait for Redis before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlapi.cache.access import RedisAccess
from mlapi.cache.address import parse_address

if TYPE_CHECKING:
    from mlapi.settings import Settings


def redis_access(settings: Settings) -> RedisAccess:
    """Return how Redis is reached, after a look at the files that it takes.

    Raises:
        ConfigurationError: The address cannot be read, or one of the files cannot be used.
    """
    password = settings.redis_password
    access = RedisAccess(
        parse_address(settings.redis_url.get_secret_value()),
        password=password.get_secret_value() if password else None,
        password_file=settings.redis_password_file,
        ca_file=settings.redis_ca_file,
    )
    access.check()
    return access
