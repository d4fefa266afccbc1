"""Every setting, read from the environment with the prefix MLAPI_. Nothing else reads the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def _checked_prefix(prefix: str) -> str:
    if not PREFIX.fullmatch(prefix):
        raise ValueError(
            "must start with a slash, not end with one, and hold letters, digits and . _ ~ - alone, "
            "such as /project"
        )
    return prefix


Prefix = Annotated[str, AfterValidator(_checked_prefix)]
NoPath = BeforeValidator(lambda path: path or None)
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Delay = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """How the service behaves. `mlapi serve --help` names the few that have a flag of their own."""

    model_config = SettingsConfigDict(
        env_prefix="MLAPI_", frozen=True, use_attribute_docstrings=True, extra="ignore", populate_by_name=True
    )

    model: Path = Path("models/starter")
    """The model directory to serve; a relative path starts where the service is started."""

    variant: str = "auto"
    """Which variant of it: a name from the manifest, or `auto` for the fastest that works on this machine."""

    threads: Positive | None = None
    """CPU threads of the engine; by default the CPUs of the container, divided by workers."""

    compiled_cache: Path | None = None
    """Directory where compiled models are kept between starts, for OpenVINO. Whoever can write there decides
    what is computed: it must be writable by the service alone. May be emptied at any time."""

    prefix: Prefix = "/project"
    """Path under which all routes but /metrics lie."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one and logs it."""

    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Port for /metrics alone, which then is no longer on the main port; 0 takes a free one and logs it. By
    default /metrics is on the main port."""

    workers: Positive = 1
    """Server processes. In a cluster leave it at 1 and scale pods."""

    redis_url: SecretStr = Field(
        default=SecretStr("memory://"), validation_alias=AliasChoices("MLAPI_REDIS_URL", "REDIS_URL")
    )
    """Where predictions are cached: `memory://`, or Redis as `host`, `host:port`, `redis://…` or `rediss://…`.
    Also read from `REDIS_URL`."""

    redis_password: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("MLAPI_REDIS_PASSWORD", "REDIS_PASSWORD")
    )
    """Password of Redis, where it does not stand in the URL. Also read from `REDIS_PASSWORD`."""

    redis_password_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("MLAPI_REDIS_PASSWORD_FILE", "REDIS_PASSWORD_FILE")
    )
    """File that holds the password of Redis, in place of the above. It is read at every login, so that a new
    password needs no restart. Also read from `REDIS_PASSWORD_FILE`."""

    redis_ca_file: Path | None = None
    """File of certificates (PEM) that are trusted to sign that of a `rediss://` server, in place of the
    system's."""

    cache_entries: int = Field(default=50_000, ge=0)
    """Predictions kept in the process (about 0.4 kB each), in front of Redis if there is one; 0 for none."""

    cache_ttl_s: Positive = 86_400
    """Seconds that a cached prediction lives, give or take a tenth."""

    cache_timeout_s: Seconds = 0.1
    """Seconds that a request waits for Redis before it goes on without."""

    predict_max_texts: Positive = 256
    """Most texts in one `predict` request."""

    predict_max_chars: Positive = 20_000
    """Most characters in one text of `predict`."""

    predict_max_bytes: Positive = 1024 * 1024
    """Largest body of `predict`."""

    predict_timeout_s: Seconds = 10.0
    """Seconds after which a `predict` request is answered with 504."""

    bulk_max_texts: Positive = 10_000
    """Most texts in one `bulk-predict` request."""

    bulk_max_chars: Positive = 20_000
    """Most characters in one text of `bulk-predict`."""

    bulk_max_bytes: Positive = 4 * 1024 * 1024
    """Largest body of `bulk-predict`; parsing it is what holds the event loop longest."""

    bulk_timeout_s: Seconds = 300.0
    """Seconds after which a `bulk-predict` request is answered with 504."""

    bulk_window: Positive = 512
    """Texts of a bulk request that are queued together; two windows are in work at once."""

    max_batch_tokens: Positive = 1_024
    """Padded tokens in the engine at a time. Larger batches gain little on a CPU and delay single texts."""

    max_batch_texts: Positive = 64
    """Texts in one engine call."""

    max_queue_texts: Positive = 4_096
    """Texts that may wait in each lane (a few of a request, or many) before requests are refused with 503."""

    max_queue_tokens: Positive = 262_144
    """Tokens that may wait in each lane before requests are refused with 503."""

    stuck_after_s: Seconds = 60.0
    """Seconds in one engine call after which `health/live` says that the process is dead."""

    drain_grace_s: Delay = 3.0
    """Seconds after SIGTERM during which requests are still answered while readiness says 503."""

    drain_timeout_s: Seconds = 30.0
    """Seconds after that grace in which requests under way may finish."""

    wait_timeout_s: Seconds = 30.0
    """Seconds that `mlapi wait dns` and `mlapi wait redis` wait, together, before the pod starts without
    Redis."""

    wait_deadline_file: Annotated[Path | None, NoPath] = None
    """File by which the two share that time: `wait dns` writes its end there, `wait redis` reads it. Without
    the file each takes the whole time."""

    termination_log: Path = Path("/dev/termination-log")
    """File into which they write why they gave up, where it exists."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages to log."""

    log_format: Literal["auto", "text", "json"] = "auto"
    """Log lines as text or as JSON; `auto` is text on a terminal."""

    access_log: bool = False
    """Log one line per request: method, route, status, time and request id, never a text."""

    @model_validator(mode="after")
    def _agrees_on_redis(self) -> Self:
        if (
            self.redis_password_file is not None
            and self.redis_password
            and self.redis_password.get_secret_value()
        ):
            raise ValueError(
                "the password of Redis is given twice: set MLAPI_REDIS_PASSWORD (or REDIS_PASSWORD) or "
                "MLAPI_REDIS_PASSWORD_FILE (or REDIS_PASSWORD_FILE), not both"
            )
        return self

    @model_validator(mode="after")
    def _has_two_ports(self) -> Self:
        if self.metrics_port == self.port != 0:
            raise ValueError(f"metrics_port must not be port ({self.port}): leave it out, or choose another")
        return self

    @model_validator(mode="after")
    def _fits_the_queue(self) -> Self:
        for name in ("predict_max_texts", "bulk_window"):
            if getattr(self, name) > self.max_queue_texts:
                raise ValueError(f"{name} must not be larger than max_queue_texts ({self.max_queue_texts})")
        return self


def unknown_variables() -> list[str]:
    """Return the variables with the prefix MLAPI_ that are no setting: misspelt ones, most likely."""
    known = {f"MLAPI_{name.upper()}" for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith("MLAPI_") and name.upper() not in known)
