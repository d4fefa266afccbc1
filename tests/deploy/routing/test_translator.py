"""The translator for Envoy itself: it takes every field into account, or refuses to translate."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploy.envoy.config import bootstrap
from tests.support.deploy.envoy.routed_renders import (
    NAME,
    OWN_GATEWAY,
    changed,
    production,
    with_canary,
    with_own_gateway,
)
from tests.support.deploy.envoy.routes import ISTIO_DEFAULT_RETRIES
from tests.support.deploy.fields import UnimplementedError
from tests.support.deploy.objects import name_of, of_kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.objects import Object

KINDS = ("VirtualService", "DestinationRule", "Gateway", "Service")
RUNNING = {"mlapi": [8001, 8002], "mlapi-canary": [8003], "lab": [8004]}
CERTIFICATES = {OWN_GATEWAY["tlsSecret"]: (Path("tls.crt"), Path("tls.key"))}
FREE = frozenset({"labels", "annotations", "selector"})
"""Mappings whose keys are anybody's choice."""

MEANINGLESS = re.compile(
    # names and kinds that nothing refers to, and what a listener on a free port has no use for
    r"\.(apiVersion|kind|metadata\..*|spec\.servers\.\d\.port\.(name|number)|spec\.selector\.istio)"
    # Redis speaks no HTTP
    r"|Service redis\..*|DestinationRule redis\.spec\.host"
)


@pytest.fixture(scope="module", params=["canary", "istio-gateway"])
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """All that is translated anywhere, in two renders."""
    folder = tmp_path_factory.mktemp("layer")
    if request.param == "canary":
        return with_canary(folder, stable=80, canary=20)
    return with_own_gateway(folder)


def _config(objects: list[Object]) -> dict[str, Any]:
    return bootstrap(objects, RUNNING, certificates=CERTIFICATES)


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping inside whose keys have a meaning."""
    if isinstance(value, list):
        for item in value:
            yield from _mappings(item)
    elif isinstance(value, dict):
        yield value
        for key, item in value.items():
            if key not in FREE:
                yield from _mappings(item)


def _leaves(value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield what holds each single value, its key there, and its path."""
    items = enumerate(value) if isinstance(value, list) else value.items()
    for key, item in items:
        if isinstance(item, (dict, list)):
            yield from _leaves(item, f"{path}.{key}")
        else:
            yield value, key, f"{path}.{key}"


def _other(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"1{value}" if re.fullmatch(r"[\d.]+m?s", value) else f"{value}x"


def _translated(objects: list[Object]) -> dict[str, Any] | None:
    try:
        return _config(objects)
    except UnimplementedError:
        return None


def test_an_unknown_field_anywhere_is_refused(objects: list[Object]) -> None:
    """A field that is added to the manifests would be passed over, and the tests of routing stay green."""
    copies = copy.deepcopy(objects)
    mappings = [each for one in of_kind(copies, *KINDS) for each in _mappings(one)]
    assert len(mappings) > 50
    for mapping in mappings:
        mapping["unheardOf"] = {}
        with pytest.raises(UnimplementedError, match="unheardOf"):
            _config(copies)
        del mapping["unheardOf"]
    assert _config(copies) == _config(objects)


def test_every_value_counts(objects: list[Object]) -> None:
    """A field would be taken and thrown away: whatever it says, the tests of routing would say the same."""
    copies = copy.deepcopy(objects)
    expected = _config(objects)
    leaves = [leaf for one in of_kind(copies, *KINDS) for leaf in _leaves(one, name_of(one))]
    counted = [leaf for leaf in leaves if not MEANINGLESS.search(leaf[2])]
    assert len(counted) > 60
    for holder, key, path in counted:
        value = holder[key]
        holder[key] = _other(value)
        assert _translated(copies) != expected, f"{path} means nothing to the translator"
        holder[key] = value


def test_a_route_without_retries_gets_those_of_istio() -> None:
    """Manifests that forget `retries` would look safe here, and repeat what was refused in a cluster."""
    objects, spec = changed(production(), "VirtualService", "mlapi")
    del spec["http"][0]["retries"]
    assert ISTIO_DEFAULT_RETRIES["retriable_status_codes"] == [503]
    assert _policies(_config(objects))[0] == ISTIO_DEFAULT_RETRIES


def test_no_attempts_are_no_retries() -> None:
    """`attempts: 0`, which switches retries off, would be taken for Istio's default."""
    objects, spec = changed(production(), "VirtualService", "mlapi")
    spec["http"][0]["retries"]["attempts"] = 0
    assert _policies(_config(objects))[0] is None


def _policies(config: dict[str, Any]) -> list[Any]:
    (listener,) = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    assert host["domains"] == [NAME]
    return [route["route"].get("retry_policy") for route in host["routes"]]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("http", 0, "route", 0, "destination", "host"), "mlapii", "no Service 'mlapii'"),
        (("http", 0, "route", 0, "destination", "host"), "redis", "no Service 'redis' of HTTP"),
        (("http", 0, "retries", "retryOn"), "connect-failure,503", "status codes"),
        (("http", 0, "match", 0, "uri"), {"regex": "/project.*"}, "`exact` or `prefix`"),
        (("http", 0, "match"), [], "takes everything"),
        (("gateways", 0), "elsewhere", "no Gateway 'elsewhere'"),
    ],
)
def test_what_is_not_translated_is_refused(place: tuple[str | int, ...], value: Any, message: str) -> None:
    """Routes that do not work in a cluster, or in another way, would work here."""
    objects, holder = changed(production(), "VirtualService", "mlapi")
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    with pytest.raises(UnimplementedError, match=re.escape(message)):
        _config(objects)
