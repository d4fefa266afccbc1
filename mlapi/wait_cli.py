"""`mlapi wait dns | redis`: the gate in front of a pod's start, for its init containers.

Address, login and trust are the service's own. Little is imported: this runs before each start of a pod.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from mlapi.flags import settings_from

if TYPE_CHECKING:
    from mlapi.cache.access import RedisAccess
    from mlapi.settings import Settings

wait_app = typer.Typer(
    no_args_is_help=True,
    help="Wait for Redis before the service starts, for MLAPI_WAIT_TIMEOUT_S in all.",
    rich_markup_mode=None,
)


@wait_app.command("dns")
def wait_dns() -> None:
    """Wait until the name of Redis resolves.

    Starts the time that `mlapi wait redis` shares, through MLAPI_WAIT_DEADLINE_FILE.

    Giving up is no failure: one line in the log, and the service starts without Redis.
    """
    from mlapi.gate.checks import name_to_resolve, resolve
    from mlapi.gate.deadline import begin
    from mlapi.gate.run import wait_for

    settings, access = _prepared()
    deadline = begin(settings.wait_timeout_s, settings.wait_deadline_file)
    host = name_to_resolve(access)
    if host is None:
        _nothing_to_do(f"{access.address.redacted} has no name to resolve")
        return
    wait_for(
        f"the name {host} resolves",
        lambda _seconds: resolve(host, access.address.port),
        deadline,
        termination_log=settings.termination_log,
    )


@wait_app.command("redis")
def wait_redis() -> None:
    """Wait until Redis answers PONG.

    Takes what `mlapi wait dns` left of the time, and the address, login and certificates of the service.

    Giving up is no failure: one line in the log, and the service starts without Redis.
    """
    from mlapi.gate.checks import ping
    from mlapi.gate.deadline import join
    from mlapi.gate.run import wait_for

    settings, access = _prepared()
    if access.address.kind == "memory":
        _nothing_to_do("the cache is in the process, there is no Redis to wait for")
        return
    wait_for(
        f"Redis at {access.address.redacted} answers PONG",
        partial(ping, access),
        join(settings.wait_timeout_s, settings.wait_deadline_file),
        termination_log=settings.termination_log,
    )


def _prepared() -> tuple[Settings, RedisAccess]:
    """Read the settings and refuse those that cannot work: waiting would not mend them."""
    from mlapi import log
    from mlapi.redis_access import redis_access
    from mlapi.sigterm import end_on_sigterm

    end_on_sigterm()
    settings = settings_from()
    log.configure(level=settings.log_level, log_format=settings.log_format)
    return settings, redis_access(settings)


def _nothing_to_do(why: str) -> None:
    import logging

    logging.getLogger(__name__).info("%s", why)
