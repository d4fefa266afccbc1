"""Both architectures can be built: for each locked package there is a wheel that pip takes there."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, cast

import pytest
from packaging.markers import Marker, default_environment
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from tests.support.deploy.image.image import REPOSITORY, base_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.tags import Tag

GLIBC_OF_BOOKWORM = 36
"""Debian 12 has glibc 2.36; pip takes wheels made for it or for any older one (PEP 600)."""
OLDEST_GLIBC = 17
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)


def tags_of(machine: str) -> frozenset[Tag]:
    """Return the tags of the wheels that pip takes in the base image on a machine."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC_OF_BOOKWORM, OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    native = cpython_tags((3, 11), platforms=platforms)
    return frozenset(native) | frozenset(compatible_tags((3, 11), "cp311", platforms))


def wanted(requirements: str, machine: str) -> Iterator[tuple[str, str, set[str]]]:
    """Yield name, version and hashes of what a file of requirements/ asks for on a machine."""
    # The oldest patch release: it needs a backport that later ones do not.
    environment = {
        **cast("dict[str, str]", default_environment()),
        "python_version": "3.11",
        "python_full_version": "3.11.2",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }
    text = (REPOSITORY / "requirements" / requirements).read_text("utf-8")
    parts = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    for part in parts:
        if (head := REQUIREMENT.match(part)) and (head[3] is None or Marker(head[3]).evaluate(environment)):
            yield canonicalize_name(head[1]), head[2], set(re.findall(r"--hash=(sha256:[0-9a-f]+)", part))


def locked_files() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the files that poetry.lock knows of each package."""
    lock = tomllib.loads((REPOSITORY / "poetry.lock").read_text("utf-8"))
    return {
        (canonicalize_name(package["name"]), package["version"]): package["files"]
        for package in lock["package"]
    }


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("requirements", ["runtime.txt", "runtime-torch.txt"])
def test_there_is_a_wheel_of_every_package(requirements: str, machine: str) -> None:
    """If it fails, the image cannot be built for an architecture, because nothing compiles in it."""
    files, tags = locked_files(), tags_of(machine)
    packages = list(wanted(requirements, machine))
    assert len(packages) > 40
    without = []
    for name, version, hashes in packages:
        fitting = [
            file for file in files[name, version] if file["hash"] in hashes and tags_fit(file["file"], tags)
        ]
        if not fitting:
            without.append(f"{name}=={version}")
    assert without == []


def tags_fit(file: str, tags: frozenset[Tag]) -> bool:
    """Whether a file is a wheel that pip would take."""
    try:
        return not tags.isdisjoint(parse_wheel_filename(file)[3])
    except InvalidWheelFilename:
        return False


def test_the_base_image_is_the_one_whose_libraries_are_assumed() -> None:
    """If it fails, the glibc above is not the one that wheels are chosen by: look it up and change both."""
    assert base_image() == "python:3.11-slim-bookworm"


def test_a_wheel_for_a_newer_glibc_does_not_count() -> None:
    """If it fails, the test above passes whatever the wheels are made for."""
    assert tags_fit("x-1-cp311-cp311-manylinux_2_35_aarch64.whl", tags_of("aarch64"))
    assert not tags_fit("x-1-cp311-cp311-manylinux_2_39_aarch64.whl", tags_of("aarch64"))
    assert not tags_fit("x-1-cp311-cp311-manylinux_2_28_x86_64.whl", tags_of("aarch64"))
    assert not tags_fit("x-1.tar.gz", tags_of("aarch64"))
