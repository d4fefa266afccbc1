"""The runner of pods takes a manifest whole or not at all; no engine is needed to see that."""

from __future__ import annotations

import copy
import io
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.deploy.fields import UnimplementedError
from tests.support.deploy.pods.dev import render_dev, render_with
from tests.support.deploy.pods.objects import Objects
from tests.support.deploy.pods.volumes_spec import ConfigFiles, EmptyDir, archive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.deploy.objects import Object

FREE = frozenset({"labels", "annotations", "matchLabels", "selector", "data"})
"""Mappings whose keys are the author's own; a Deployment's `selector` is none."""

PASSED_OVER = frozenset({"strategy", "topologySpreadConstraints"})
"""Mappings in fields that mean nothing outside a cluster; what stands inside them does not either."""

RUN = ("Deployment", "Service", "ConfigMap", "Secret")


@pytest.fixture(scope="module")
def rendered() -> list[Object]:
    """The dev overlay."""
    return render_dev()


def test_the_dev_overlay_is_read_whole(rendered: list[Object]) -> None:
    """A field of the overlay that the runner does not know would make its pods other than a cluster's."""
    objects = Objects(rendered)

    assert set(objects.pods) == {"mlapi", "lab", "redis"}
    assert {"mlapi", "lab", "redis"} <= set(objects.services)
    pod = objects.pods["mlapi"]
    assert [container.name for container in pod.init_containers] == ["wait-dns", "wait-redis"]
    assert pod.containers[0].ports == {"http": 8000, "metrics": 9090}
    assert set(pod.containers[0].probes) == {"startup", "readiness", "liveness"}


def test_an_unknown_field_is_refused_wherever_it_stands(rendered: list[Object]) -> None:
    """A runner that passes over one unknown field would run pods that a cluster runs otherwise."""
    places = [
        (number, path)
        for number, value in enumerate(rendered)
        if value["kind"] in RUN
        for path in _mappings(value, ())
    ]
    accepted = []
    for number, path in places:
        changed = copy.deepcopy(rendered)
        target = _at(changed[number], path)
        target["invented"] = {"some": "value"}
        try:
            Objects(changed)
        except UnimplementedError as error:
            found = str(error)
        else:
            found = "nothing"
        if "invented" not in found:
            accepted.append((changed[number]["metadata"]["name"], path, found))

    assert len(places) > 150, "the walk through the manifests finds too few places"
    assert not accepted


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "hostNetwork"), True),
        (("spec", "template", "spec", "automountServiceAccountToken"), True),
        (("spec", "template", "spec", "enableServiceLinks"), True),
        (("spec", "template", "spec", "restartPolicy"), "Never"),
        (("spec", "template", "spec", "securityContext", "fsGroup"), 999),
        (("spec", "template", "spec", "securityContext", "sysctls"), [{"name": "a", "value": "b"}]),
        (("spec", "template", "spec", "securityContext", "seccompProfile"), {"type": "Localhost"}),
        (("spec", "template", "spec", "containers", 0, "securityContext", "privileged"), True),
        (("spec", "template", "spec", "containers", 0, "lifecycle"), {"preStop": {"sleep": {"seconds": 3}}}),
        (("spec", "template", "spec", "containers", 0, "resources", "limits", "nvidia.com/gpu"), 1),
        (("spec", "template", "spec", "containers", 0, "resources", "limits", "memory"), "1Zi"),
        (("spec", "template", "spec", "containers", 0, "command"), ["redis-server", "$(PASSWORD)"]),
        (("spec", "template", "spec", "containers", 0, "env"), [{"name": "A", "value": "$(B)"}]),
        (
            ("spec", "template", "spec", "containers", 0, "env"),
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        ),
        (("spec", "template", "spec", "containers", 0, "ports", 0, "protocol"), "UDP"),
        (("spec", "template", "spec", "containers", 0, "readinessProbe"), {"grpc": {"port": 1}}),
        (("spec", "template", "spec", "containers", 0, "volumeMounts", 0, "subPath"), "redis.conf"),
        (("spec", "template", "spec", "containers", 0, "volumeMounts", 0, "name"), "nowhere"),
        (("spec", "template", "spec", "volumes", 0), {"name": "config", "hostPath": {"path": "/"}}),
        (("spec", "template", "spec", "volumes", 1, "emptyDir", "medium"), "HugePages"),
        (("spec", "selector", "matchLabels", "track"), "canary"),
        (("spec", "selector", "matchExpressions"), [{"key": "track", "operator": "Exists"}]),
        (("apiVersion",), "apps/v1beta1"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_is_not_implemented_is_refused(
    rendered: list[Object], path: tuple[str | int, ...], value: object
) -> None:
    """A field with a meaning that the runner does not give it would seem to work where it does not."""
    changed = copy.deepcopy(next(one for one in rendered if _is(one, "Deployment", "redis")))
    _at(changed, path[:-1])[path[-1]] = value

    with pytest.raises((UnimplementedError, ValueError)):
        Objects([changed])


def test_an_unknown_kind_is_refused() -> None:
    """A new kind of object in the overlay would be left out of the pods without a word."""
    with pytest.raises(UnimplementedError, match="DaemonSet"):
        Objects([{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": {}}])


def test_variables_come_from_where_the_manifest_says(rendered: list[Object]) -> None:
    """A container would see a ConfigMap's value in place of its own, or none of it."""
    changed = copy.deepcopy(rendered)
    deployment = next(one for one in changed if _is(one, "Deployment", "lab"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["env"].append({"name": "MLAPI_REDIS_URL", "value": "memory://"})
    objects = Objects(changed)
    (lab,) = objects.pods["lab"].containers

    environment = objects.environment(lab)

    assert environment["MLAPI_REDIS_URL"] == "memory://"
    assert environment["MLAPI_PREFIX"] == "/lab"
    assert environment["MLAPI_WAIT_TIMEOUT_S"] == "30"


def test_a_pod_without_its_config_map_does_not_start(rendered: list[Object]) -> None:
    """A reference into the void would look like an empty ConfigMap."""
    objects = Objects(one for one in rendered if one["kind"] != "ConfigMap")

    with pytest.raises(UnimplementedError, match="there is no ConfigMap cache-client"):
        objects.environment(objects.pods["lab"].containers[0])


def test_the_files_of_a_secret_have_the_mode_of_the_manifest() -> None:
    """A file that only its owner may read in a cluster would be readable here."""
    volume = ConfigFiles("v", "Secret", "s", 0o400)

    with tarfile.open(fileobj=io.BytesIO(archive(volume, {"password": b"x"}, generation=3))) as tar:
        file = tar.getmember("..3/password")
        assert (file.mode, file.uid, file.gid, file.size) == (0o400, 0, 0, 1)
        assert tar.getmember("password").linkname == "..data/password"
        assert tar.getmember("..data_new").linkname == "..3"


def test_the_kinds_of_volumes_are_told_apart() -> None:
    """A volume in memory would be put on disk, or lose its limit."""
    volumes = {volume.name: volume for volume in Objects(render_with("redis-auth")).pods["redis"].volumes}

    assert volumes["run"] == EmptyDir("run", memory=True, size=2**20)
    assert volumes["data"] == EmptyDir("data", memory=False, size=2**20)
    assert volumes["redis-auth"] == ConfigFiles("redis-auth", "Secret", "redis-auth", 0o644)


def _mappings(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all mappings whose keys Kubernetes defines."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            if key in PASSED_OVER or (key in FREE and "matchLabels" not in inner):
                continue
            yield from _mappings(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _mappings(inner, (*path, number))


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _is(value: Object, kind: str, name: str) -> bool:
    return bool(value["kind"] == kind and value["metadata"]["name"] == name)
