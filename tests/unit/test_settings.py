from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from mlapi.errors import ConfigurationError
from mlapi.flags import settings_from
from mlapi.settings import Settings, unknown_variables


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in os.environ:
        if name.startswith(("MLAPI_", "REDIS_")):
            monkeypatch.delenv(name)


def test_defaults_serve_the_starter_model_to_this_machine() -> None:
    """If it fails, the service does not start in a fresh checkout, or listens to the whole network there."""
    settings = Settings()
    assert settings.model == Path("models/starter")
    assert (settings.host, settings.port, settings.prefix) == ("127.0.0.1", 8000, "/project")
    assert settings.redis_url.get_secret_value() == "memory://"


def test_the_environment_is_read_with_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, variables in a manifest have no effect, or those of others have."""
    monkeypatch.setenv("MLAPI_PORT", "9000")
    monkeypatch.setenv("MLAPI_ACCESS_LOG", "true")
    monkeypatch.setenv("mlapi_variant", "fake")
    monkeypatch.setenv("HOST", "elsewhere")
    monkeypatch.setenv("MLAPI_UNKNOWN", "1")
    settings = Settings()
    assert (settings.port, settings.access_log, settings.variant) == (9000, True, "fake")
    assert settings.host == "127.0.0.1"
    assert Settings(port=1).port == 1


@pytest.mark.parametrize("field", ["redis_url", "redis_password", "redis_password_file"])
def test_names_of_redis(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    """If it fails, the usual names of Redis settings are not read, or win over our own."""

    def value(**given: str) -> str:
        read = getattr(Settings(**given), field)  # type: ignore[arg-type]
        return read.get_secret_value() if isinstance(read, SecretStr) else str(read)

    monkeypatch.setenv(field.upper(), "common")
    assert value() == "common"
    monkeypatch.setenv(f"MLAPI_{field.upper()}", "own")
    assert value() == "own"
    assert value(**{field: "given"}) == "given"


def test_secrets_are_not_shown() -> None:
    """If it fails, a logged settings object shows the password of Redis."""
    settings = Settings(redis_url="redis://:hidden@host", redis_password="hidden")  # type: ignore[arg-type]
    assert "hidden" not in repr(settings) + str(settings.model_dump())


def test_settings_are_frozen() -> None:
    """If it fails, some part of the program can change how the others behave."""
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    """If it fails, a setting cannot be documented from its own description."""
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.rstrip().endswith("."), name


@pytest.mark.parametrize("prefix", ["/project", "/a/b", "/v1.2/x-y_z~"])
def test_good_prefixes(prefix: str) -> None:
    """If it fails, a usual path is refused."""
    assert Settings(prefix=prefix).prefix == prefix


@pytest.mark.parametrize("prefix", ["", "/", "project", "/a/", "/a//b", "/{x}", "/a b", "/a?b", "/a#b", "/ü"])
def test_bad_prefixes(prefix: str) -> None:
    """If it fails, a prefix is taken under which no route can be reached."""
    with pytest.raises(ValidationError):
        Settings(prefix=prefix)


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"MLAPI_PORT": "abc"}, "MLAPI_PORT"),
        ({"MLAPI_PORT": "70000"}, "MLAPI_PORT"),
        ({"MLAPI_WORKERS": "0"}, "MLAPI_WORKERS"),
        ({"MLAPI_THREADS": ""}, "MLAPI_THREADS"),
        ({"MLAPI_PREFIX": "project"}, "MLAPI_PREFIX"),
        ({"MLAPI_LOG_FORMAT": "xml"}, "MLAPI_LOG_FORMAT"),
        ({"MLAPI_PREDICT_TIMEOUT_S": "-1"}, "MLAPI_PREDICT_TIMEOUT_S"),
        ({"MLAPI_DRAIN_TIMEOUT_S": "inf"}, "MLAPI_DRAIN_TIMEOUT_S"),
        ({"MLAPI_DRAIN_GRACE_S": "inf"}, "MLAPI_DRAIN_GRACE_S"),
        ({"MLAPI_STUCK_AFTER_S": "soon"}, "MLAPI_STUCK_AFTER_S"),
        ({"MLAPI_MAX_QUEUE_TEXTS": "100"}, "predict_max_texts"),
        ({"MLAPI_MAX_QUEUE_TEXTS": "300"}, "bulk_window"),
        ({"MLAPI_METRICS_PORT": "70000"}, "MLAPI_METRICS_PORT"),
        ({"MLAPI_METRICS_PORT": "8000"}, "metrics_port"),
        ({"MLAPI_WAIT_TIMEOUT_S": "0"}, "MLAPI_WAIT_TIMEOUT_S"),
        ({"REDIS_PASSWORD": "hunter2", "REDIS_PASSWORD_FILE": "/file"}, "MLAPI_REDIS_PASSWORD_FILE"),
    ],
)
def test_a_bad_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], names: str
) -> None:
    """If it fails, whoever set a variable wrongly has to guess which."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=names) as caught:
        settings_from()
    assert "\n" not in str(caught.value)


def test_two_free_ports_and_an_empty_password_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, tests cannot ask for free ports, or a variable set to nothing counts as a password."""
    monkeypatch.setenv("REDIS_PASSWORD", "")
    settings = Settings(port=0, metrics_port=0, redis_password_file=Path("/file"))
    assert (settings.metrics_port, settings.redis_password_file) == (0, Path("/file"))


def test_flags_that_were_not_given_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, a flag's default hides the environment."""
    monkeypatch.setenv("MLAPI_PORT", "9000")
    flags: dict[str, Any] = {"port": None, "host": "0.0.0.0"}
    settings = settings_from(**flags)
    assert (settings.port, settings.host) == (9000, "0.0.0.0")


def test_misspelt_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it fails, a misspelt setting is ignored without a word."""
    monkeypatch.setenv("MLAPI_WORKER", "2")
    monkeypatch.setenv("MLAPI_WORKERS", "2")
    monkeypatch.setenv("MLAPI_REDIS_URL", "localhost")
    assert unknown_variables() == ["MLAPI_WORKER"]
