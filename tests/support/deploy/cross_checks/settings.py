"""Environment variables: they are settings that exist, with values that can be read, and no secrets."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mlapi.settings import Settings
from tests.support.deploy.objects import environment, of_kind, workloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.deploy.objects import Object, Workload

IMAGE_ENV = {"MLAPI_HOST": "0.0.0.0", "MLAPI_PORT": "8000", "MLAPI_MODEL": "/models/default"}
"""What the image sets by itself."""

PREFIX = "MLAPI_"
SECRET = re.compile(r"PASSWORD$|PASSWD$|SECRET$|TOKEN$|API_KEY$|PRIVATE_KEY$", re.IGNORECASE)


def known_settings(objects: Sequence[Object]) -> list[str]:
    """Every MLAPI_ variable is a setting: the service would ignore a misspelt one."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return [
        f"{one.name}, container {container['name']}: {name} is no setting of the service"
        for one, container, variables in own_containers(objects)
        for name in variables
        if name.startswith(PREFIX) and name not in known
    ]


def readable_settings(objects: Sequence[Object]) -> list[str]:
    """Every container's settings can be read as the service reads them, all together."""
    found = []
    for one, container, variables in own_containers(objects):
        try:
            _settings(variables)
        except ValidationError as error:
            found += [
                f"{one.name}, container {container['name']}: {_where(line['loc'])}{line['msg']}"
                for line in error.errors()
            ]
    return found


def secrets_are_files(objects: Sequence[Object]) -> list[str]:
    """No password stands in a variable or a ConfigMap: Secrets are mounted as files, which can be rotated."""
    found = []
    for one in workloads(objects):
        for container in one.all_containers:
            place = f"{one.name}, container {container['name']}"
            found += [
                f"{place}: {name} is a variable; mount the Secret as a file"
                for name, value in environment(objects, container).items()
                if SECRET.search(name) or value is None
            ]
            found += [
                f"{place}: Secret {source['secretRef'].get('name')} becomes variables; mount it as a file"
                for source in container.get("envFrom", [])
                if "secretRef" in source
            ]
    for config in of_kind(objects, "ConfigMap"):
        found += [
            f"ConfigMap {config['metadata']['name']}: {key} holds a password; put it into a Secret"
            for key, value in config.get("data", {}).items()
            if SECRET.search(key)
            or re.search(r"^\s*(requirepass|masterauth)\s|://[^/\s]*:[^/\s]+@", value, re.MULTILINE)
        ]
    return found


def own_containers(objects: Sequence[Object]) -> Iterator[tuple[Workload, Object, dict[str, str | None]]]:
    """Yield every container that runs this project's program, gates included, with its variables."""
    for one in workloads(objects):
        for container in one.all_containers:
            variables = environment(objects, container)
            if any(name.startswith(PREFIX) for name in variables):
                yield one, container, variables


def image_settings(objects: Sequence[Object]) -> Iterator[tuple[Workload, Object, Settings]]:
    """Yield every container that serves, with its settings; those that cannot be read are left out."""
    for one, container, variables in own_containers(objects):
        if container in one.containers:
            try:
                yield one, container, _settings(variables)
            except ValidationError:
                continue


def _settings(variables: dict[str, str | None]) -> Settings:
    known = {**IMAGE_ENV, **variables}
    return _parsed(tuple((name, value) for name, value in sorted(known.items()) if value is not None))


@functools.cache  # most combinations of components have the same few
def _parsed(variables: tuple[tuple[str, str], ...]) -> Settings:
    values = {
        name.removeprefix(PREFIX).lower(): value for name, value in variables if name.startswith(PREFIX)
    }
    known = {name: value for name, value in values.items() if name in Settings.model_fields}
    return Settings.model_validate(known)


def _where(location: tuple[int | str, ...]) -> str:
    return f"{PREFIX}{str(location[0]).upper()}: " if location else ""
