"""scripts/image/: what is taken out of the packages and of the base image, and what must not go unnoticed."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.deploy.image.image import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def load(name: str) -> ModuleType:
    """A script as a module: it is run, not imported, so it sits in no package."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / "image" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up while they are being made.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
    return module


trim_packages = load("trim_packages")
harden = load("harden")


def fill(site_packages: Path, names: list[str]) -> None:
    """Make files of 10 bytes each."""
    for name in names:
        path = site_packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0123456789")


def left(site_packages: Path) -> list[str]:
    """Return the files that are there."""
    return sorted(str(path.relative_to(site_packages)) for path in site_packages.rglob("*") if path.is_file())


def ballast(*patterns: str, machines: frozenset[str] = frozenset()) -> list[object]:
    """Return one package's ballast."""
    return [trim_packages.Ballast("engine", "plugins", patterns, machines)]


def test_what_is_named_goes_and_the_rest_stays(tmp_path: Path) -> None:
    """If it fails, dead weight is shipped, or something that the service needs is not."""
    fill(
        tmp_path,
        [
            "engine/libs/gpu.so",
            "engine/libs/cpu.so",
            "engine/a/tests/x",
            "engine/b/tests/y/z",
            "other/libs/gpu.so",
        ],
    )
    removed, unmatched = trim_packages.trim(
        tmp_path, machine="x86_64", ballast=ballast("libs/gpu.so", "**/tests")
    )
    assert left(tmp_path) == ["engine/libs/cpu.so", "other/libs/gpu.so"]
    assert removed == {"engine: plugins": 30}
    assert unmatched == []


def test_a_pattern_that_matches_nothing_is_reported(tmp_path: Path) -> None:
    """If it fails, a package that is laid out anew brings its dead weight back unnoticed."""
    fill(tmp_path, ["engine/libs/cpu.so"])
    _, unmatched = trim_packages.trim(
        tmp_path, machine="x86_64", ballast=ballast("libs/gpu.so", "libs/npu-*.so")
    )
    assert unmatched == ["engine/libs/gpu.so", "engine/libs/npu-*.so"]


def test_what_another_architecture_does_not_have_is_not_missed_there(tmp_path: Path) -> None:
    """If it fails, the image cannot be built for arm64, which ships no plugins of Intel's devices."""
    fill(tmp_path, ["engine/libs/cpu.so"])
    items = ballast("libs/gpu.so", machines=frozenset({"x86_64"}))
    assert trim_packages.trim(tmp_path, machine="aarch64", ballast=items) == ({}, [])
    assert trim_packages.trim(tmp_path, machine="x86_64", ballast=items)[1] == ["engine/libs/gpu.so"]


def test_folders_inside_of_folders_that_went_are_no_error(tmp_path: Path) -> None:
    """If it fails, one pattern that matches a folder and what is in it ends the build with a traceback."""
    fill(tmp_path, ["engine/tests/inner/tests/x"])
    removed, unmatched = trim_packages.trim(tmp_path, machine="x86_64", ballast=ballast("**/tests"))
    assert (left(tmp_path), removed, unmatched) == ([], {"engine: plugins": 10}, [])


def test_the_command_fails_where_a_pattern_matches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """If it fails, the build goes on as if nothing had changed."""
    fill(tmp_path, ["uvloop/loop.so"])
    assert trim_packages.main([str(tmp_path)]) == 1
    assert "uvloop/*.pyx matches nothing" in capsys.readouterr().err
    assert trim_packages.main([str(tmp_path), "--only", "numpy"]) == 0
    assert trim_packages.main([str(tmp_path / "nowhere")]) == 1


def test_what_the_service_loads_is_in_no_pattern() -> None:
    """If it fails, the CPU plugin or the reader of ONNX graphs is taken out, and OpenVINO starts nothing."""
    patterns = [
        pattern for item in trim_packages.BALLAST if item.package == "openvino" for pattern in item.patterns
    ]
    for needed in ("cpu_plugin", "onnx_frontend", "ir_frontend", "libtbb.so", "libopenvino.so"):
        assert not [pattern for pattern in patterns if needed in pattern]


def test_setuid_and_setgid_bits_go_and_other_modes_stay(tmp_path: Path) -> None:
    """If it fails, a way to become root stays in the image, or programs lose more than that way."""
    for name, mode in {"su": 0o4755, "wall": 0o2755, "ls": 0o755, "data": 0o640}.items():
        (tmp_path / name).write_bytes(b"")
        (tmp_path / name).chmod(mode)
    (tmp_path / "link").symlink_to("su")
    assert [path.name for path in sorted(harden.clear_setuid(tmp_path))] == ["su", "wall"]
    modes = {name: (tmp_path / name).stat().st_mode & 0o7777 for name in ("su", "wall", "ls", "data")}
    assert modes == {"su": 0o755, "wall": 0o755, "ls": 0o755, "data": 0o640}


def test_it_hardens_no_machine_by_accident(capsys: pytest.CaptureFixture[str]) -> None:
    """If it fails, who tries the script on a laptop loses its pip."""
    with pytest.raises(SystemExit) as ended:
        harden.main([])
    assert ended.value.code == 2
    assert "--this-system" in capsys.readouterr().err
