"""What can be said of the Dockerfile without building it."""

from __future__ import annotations

import re

from tests.support.deploy.image.image import REPOSITORY


def test_the_version_of_torch_is_that_of_the_project() -> None:
    """If it fails, the image with PyTorch has another one than the models were exported with."""
    text = (REPOSITORY / "Dockerfile").read_text("utf-8")
    project = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    (version,) = re.findall(r"^ARG TORCH_VERSION=(\S+)$", text, re.MULTILINE)
    assert f'"torch=={version}"' in project


def test_the_dockerfile_needs_no_newer_builder() -> None:
    """If it fails, the classic builder, which some clusters and CI runners have alone, cannot build it."""
    text = (REPOSITORY / "Dockerfile").read_text("utf-8")
    instructions = [line for line in text.splitlines() if not line.startswith("#")]
    assert not [
        line for line in instructions if re.search(r"--(mount|link|chmod|chown|network|security)\b", line)
    ]
    assert not re.search(r"^#\s*syntax\s*=", text, re.MULTILINE | re.IGNORECASE)
    assert not [line for line in instructions if "<<" in line]
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE))
    assert set(bases) - stages == {"${PYTHON_IMAGE}"}
