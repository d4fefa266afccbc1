"""Strict schemas of Kubernetes objects: a field that the API does not know is an error, at every level.

Kubernetes' own kinds are checked by the JSON schemas that `kubernetes-validate` carries, for the newest
versions of Kubernetes; custom resources by the schemas in `crds/`, which are reduced to what is used here.
"""

from __future__ import annotations

import functools
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from jsonschema.validators import Draft202012Validator
from referencing import Registry, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.deploy.objects import Object

CRDS = Path(__file__).parent / "crds"
NEWEST = 3
"""How many versions of Kubernetes are checked: as many as are supported upstream at a time."""

OBJECT_META = "/api/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class UnknownKindError(LookupError):
    """No schema says what an object of this kind may hold."""


def versions() -> list[str]:
    """Return the newest Kubernetes versions that there are schemas of, oldest first, such as `1.37`."""
    names = [entry.name for entry in _bundled().iterdir()]
    found = {match[1] for name in names if (match := re.fullmatch(r"v(\d+\.\d+)\.\d+-local-strict", name))}
    return sorted(found, key=lambda version: [int(part) for part in version.split(".")])[-NEWEST:]


def faults(objects: Iterable[Object], version: str) -> list[str]:
    """Return one line for each place where an object does not fit the schema of its kind.

    Args:
        objects: As rendered.
        version: Of Kubernetes, one of `versions()`.
    """
    return [line for one in objects for line in _faults(json.dumps(one, sort_keys=True), version)]


@functools.cache  # most objects are the same in most combinations of components
def _faults(text: str, version: str) -> tuple[str, ...]:
    one = json.loads(text)
    name = f"{one.get('kind')} {one.get('metadata', {}).get('name')}"
    try:
        checker = validator(str(one.get("apiVersion")), str(one.get("kind")), version)
    except UnknownKindError as error:
        return (f"{name}: {error}",)
    errors = sorted(checker.iter_errors(one), key=lambda error: error.json_path)
    where = f"Kubernetes {version}"
    return tuple(f"{name}: {error.json_path}: {error.message[:300]} ({where})" for error in errors)


@functools.cache
def validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    """Return what checks objects of one kind.

    Raises:
        UnknownKindError: The kind is neither Kubernetes' in that version nor described in `crds/`.
    """
    crd = custom_resources().get((api_version, kind))
    if crd is not None:
        return Draft202012Validator(_schema_of(crd), registry=_definitions(version))
    group, _, last = api_version.rpartition("/")
    stem = "-".join(part for part in (kind.lower(), group.split(".")[0], last) if part)
    path = _bundled() / f"v{version}.0-local-strict" / f"{stem}.json"
    if not path.is_file():
        raise UnknownKindError(
            f"no schema of {api_version} {kind}: Kubernetes {version} does not have it; "
            "where an operator does, describe it in tests/support/deploy/crds"
        )
    schema = json.loads(path.read_text(encoding="utf-8"))
    if schema["properties"]["apiVersion"]["enum"] != [api_version]:
        raise UnknownKindError(f"{api_version} is no API of {kind} in Kubernetes {version}")
    return Draft202012Validator(schema, registry=_definitions(version))


@functools.cache
def custom_resources() -> Mapping[tuple[str, str], dict[str, Any]]:
    """Return what `crds/` says, by API version and kind."""
    loaded = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(CRDS.glob("*.yaml"))]
    return {(crd["apiVersion"], crd["kind"]): crd for crd in loaded}


def _schema_of(crd: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://kubernetes.io/api/crd/{crd['apiVersion']}/{crd['kind']}",
        "$defs": crd.get("$defs", {}),
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": crd["apiVersion"]},
            "kind": {"const": crd["kind"]},
            "metadata": {"$ref": OBJECT_META},
            "spec": crd["spec"],
        },
    }


@functools.cache
def _definitions(version: str) -> Registry[Any]:
    path = _bundled() / f"v{version}.0-local-strict" / "_definitions.json"
    definitions: Resource[Any] = Resource.from_contents(json.loads(path.read_text(encoding="utf-8")))
    return definitions @ Registry()


def _bundled() -> Path:
    return Path(str(files("kubernetes_validate"))) / "kubernetes-json-schema"
