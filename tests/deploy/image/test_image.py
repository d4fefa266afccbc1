"""The image itself: how it starts, who it runs as, what is in it and what is not, how large it is."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.image.image import base_image

if TYPE_CHECKING:
    from typing import Any

    from tests.support.deploy.engine import Engine

pytestmark = pytest.mark.container

LARGEST_MB = 400


@functools.cache
def look(engine: Engine, image: str, script: str) -> str:
    """Run a shell script inside the image as root, who sees everything, and return what it printed."""
    return engine.run("run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", script)


@pytest.fixture
def config(engine: Engine, image: str) -> Any:
    """What the image says about how it is run."""
    return engine.inspect(image)["Config"]


def test_it_runs_one_command_as_nobody_in_particular(config: Any) -> None:
    """If it fails, signals go to a shell, or a pod that must not run as root refuses the image."""
    assert (config["User"], config["WorkingDir"]) == ("10001:10001", "/app")
    assert (config["Entrypoint"], config["Cmd"]) == (["mlapi"], ["serve"])
    assert set(config["ExposedPorts"]) == {"8000/tcp", "9090/tcp"}


def test_its_environment_makes_it_reachable_and_quiet(config: Any) -> None:
    """If it fails, the service listens inside alone, tries to write byte code, or reports to somebody."""
    variables = dict(pair.split("=", 1) for pair in config["Env"])
    assert variables["PATH"].startswith("/app/.venv/bin:")
    assert variables["MLAPI_HOST"] == "0.0.0.0"
    assert variables["MLAPI_PORT"] == "8000"
    assert variables["MLAPI_MODEL"] == "/models/default"
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert variables["PYTHONUNBUFFERED"] == "1"


def test_no_secret_and_no_machine_of_the_builder_is_in_its_settings(config: Any) -> None:
    """If it fails, a token or a mirror's address that served the build travels with the image."""
    assert not [pair for pair in config["Env"] if pair.startswith(("PIP_", "HF_", "HTTP", "http"))]


def test_nothing_is_setuid_and_nothing_can_be_written_by_everyone(engine: Engine, image: str) -> None:
    """If it fails, a process that broke out of the service has a way up, or a place to leave things."""
    assert look(engine, image, "find / -xdev -perm /6000 -type f") == ""
    assert look(engine, image, "find / -xdev -perm -0002 ! -type l ! -perm -1000") == ""
    assert look(engine, image, "find /app /models ! -type l '(' -perm /022 -o ! -user 0 ')'") == ""


@pytest.mark.parametrize("command", ["gcc", "cc", "g++", "clang", "make", "pip", "pip3", "git", "curl"])
def test_there_are_no_tools_to_build_or_fetch_with(engine: Engine, image: str, command: str) -> None:
    """If it fails, an intruder finds the next tool ready, and scanners its vulnerabilities."""
    assert look(engine, image, f"command -v {command} || true") == ""


def test_no_python_in_it_can_install_packages(engine: Engine, image: str) -> None:
    """If it fails, the environment can be changed from inside, and pip's own vulnerabilities are ours."""
    find = "import importlib.util as i; print(*filter(i.find_spec, ('pip', 'setuptools', 'ensurepip')))"
    pythons = look(engine, image, "ls /app/.venv/bin/python $(readlink -f /app/.venv/bin/python)").split()
    assert len(pythons) == 2
    for python in pythons:
        assert look(engine, image, f'{python} -c "{find}"') == ""


def test_there_are_no_tests_caches_or_sources_of_the_build(engine: Engine, image: str) -> None:
    """If it fails, megabytes and files that nobody runs are shipped, or what the context happened to hold."""
    assert look(engine, image, "ls -A /app").split() == [".venv", "LICENSE", "NOTICE"]
    assert look(engine, image, "ls -A /models").split() == ["default", "lab"]
    assert look(engine, image, "ls -d /root/.cache /tmp/* /build 2>/dev/null || true") == ""
    assert (
        look(
            engine, image, "find / -xdev '(' -name .git -o -name 'pip-*' -o -name '*.whl' ')' -path '/app/*'"
        )
        == ""
    )
    assert look(engine, image, "find /app -path '*/numpy/*' -name tests") == ""


def test_the_project_is_installed_and_not_linked(engine: Engine, image: str) -> None:
    """If it fails, the image imports the project from a folder that may be mounted over or changed."""
    place = look(engine, image, "cd / && python -c 'import mlapi; print(mlapi.__file__)'")
    assert place.startswith("/app/.venv/lib/")
    assert look(engine, image, "mlapi --version").startswith("mlapi ")


def test_byte_code_is_there_and_not_looked_up(engine: Engine, image: str) -> None:
    """If it fails, each start of a pod compiles the packages anew, because it can write no byte code."""
    script = (
        "import importlib.util as i, mlapi.cli as ours, fastapi as theirs, json as built_in\n"
        "for module in (ours, theirs, built_in):\n"
        "    data = open(i.cache_from_source(module.__file__), 'rb').read()\n"
        "    assert data[:4] == i.MAGIC_NUMBER, module\n"
        "    print(int.from_bytes(data[4:8], 'little'))\n"
    )
    ours, theirs, built_in = look(engine, image, f'python -c "{script}"').split()
    assert (ours, theirs) == ("1", "1")  # by hash, not checked (PEP 552)
    assert built_in in {"0", "1"}  # the base image may bring its own


def test_torch_is_not_in_it(engine: Engine, image: str) -> None:
    """If it fails, the image for the CPU engines carries hundreds of megabytes that none of them loads."""
    find = "import importlib.util as i; print(*filter(i.find_spec, ('torch', 'transformers', 'pytest')))"
    assert look(engine, image, f'python -c "{find}"') == ""


def test_its_layers_without_the_model_are_small(engine: Engine, image: str) -> None:
    """If it fails, pods on a new node wait longer for the image than for the start."""
    whole, base = (engine.inspect(name)["Size"] for name in (image, base_image()))
    models = int(look(engine, image, "du -s --block-size=1 /models").split()[0])
    assert 0 < (whole - base - models) / 1e6 <= LARGEST_MB


def test_both_models_are_whole(engine: Engine, image: str) -> None:
    """If it fails, a model lost a file on its way into the image."""
    for model in ("default", "lab"):
        told = engine.run(
            "run", "--rm", "--read-only", "--tmpfs", "/tmp", image, "model", "verify", f"/models/{model}"
        )
        assert "ok    manifest" in told
        assert "BAD" not in told
