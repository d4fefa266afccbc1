"""scripts/check_requirements.py passes the repository, and sees every way in which its files can drift."""

import importlib.util
import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "check_requirements.py"


def load() -> ModuleType:
    """The script as a module: it is run, not imported, so it sits in no package."""
    spec = importlib.util.spec_from_file_location("check_requirements", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up while they are being made.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module


check = load()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that are compared."""
    for name in ("pyproject.toml", "poetry.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def change(path: Path, pattern: str, replacement: str) -> None:
    """Replace the first match, which must exist, in a file."""
    text, count = re.subn(
        pattern, replacement, path.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE | re.DOTALL
    )
    assert count == 1, f"{pattern!r} is not in {path.name}"
    path.write_text(text, encoding="utf-8")


def test_repository_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    """Without this, `make serve` would install something else than the lock and pyproject.toml say."""
    assert check.main([]) == 0, capsys.readouterr().err


def test_content_hash_is_that_of_poetry() -> None:
    """If the hash were computed otherwise than by Poetry, a stale lock could pass, or a good one fail."""
    pyproject = tomllib.loads("""
        [project]
        name = "x"
        version = "1"
        requires-python = ">=3.11,<3.15"
        dependencies = ["idna>=3"]
        [project.optional-dependencies]
        more = ["six"]
        [dependency-groups]
        dev = ["iniconfig", {include-group = "lint"}]
        lint = ["ruff"]
        [tool.poetry.group.dev.dependencies]
        iniconfig = {version = ">=2", allow-prereleases = true}
        [tool.ruff]
        line-length = 110
    """)
    # Poetry 2.5.1: Locker(path, pyproject)._get_content_hash()
    assert check.content_hash(pyproject) == "9e0c000acd0086ac45f40ea31f4253dbc07576381e0740fea48008a79dd350f5"


DRIFTS: dict[str, tuple[str, str, str, str]] = {
    "a dependency was raised": (
        "pyproject.toml",
        r'"fastapi>=[\d.]+',
        '"fastapi>=0.133',
        "poetry.lock was made",
    ),
    "a dependency was added": (
        "pyproject.toml",
        r'    "rich>=',
        '    "idna>=3",\n    "rich>=',
        "poetry.lock was made",
    ),
    "a dev tool was dropped": ("pyproject.toml", r'    "httpx>=[^\n]*\n', "", "poetry.lock was made"),
    "an extra was changed": ("pyproject.toml", r'    "scipy>=[^\n]*\n', "", "poetry.lock was made"),
    "Python's bounds were moved": (
        "pyproject.toml",
        r'^requires-python = ">=3.11',
        'requires-python = ">=3.12',
        "poetry.lock",
    ),
    "the lock's version was edited": (
        "poetry.lock",
        r'^(name = "fastapi"\nversion = )"[^"]*"',
        r'\1"0.1.0"',
        "fastapi==",
    ),
    "the lock's hash was edited": (
        "poetry.lock",
        r'(file = "fastapi-[^"]*", hash = "sha256:)\w{8}',
        r"\g<1>00000000",
        "other hashes",
    ),
    "the lock lost a package": (
        "poetry.lock",
        r'\[\[package\]\]\nname = "starlette".*?(?=\[\[package\]\])',
        "",
        "starlette",
    ),
    "the lock gained an edge": (
        "poetry.lock",
        r'^(name = "click"\n.*?)\n\n(?=\[\[package\]\]|\[package)',
        r'\1\n\n[package.dependencies]\nruff = "*"\n\n',
        "ruff",
    ),
    "a version was edited": (
        "requirements/runtime.txt",
        r"^fastapi==\S+",
        "fastapi==0.1.0",
        "is too much, the lock says",
    ),
    "a package was dropped": ("requirements/runtime.txt", r"^starlette==.*?(?=^\w)", "", "starlette=="),
    "a package was added": (
        "requirements/runtime.txt",
        r"\Z",
        "six==1.17.0 \\\\\n    --hash=sha256:00\n",
        "six==1.17.0 is too much",
    ),
    "a dev tool came into the runtime": (
        "requirements/runtime.txt",
        r"\Z",
        "pytest==9.2.0\n",
        "pytest==9.2.0 is too much",
    ),
    "a hash was dropped": ("requirements/dev.txt", r"^(pytest==.*?)\s+\\\n\s+--hash=\S+", r"\1", "pytest=="),
    "a hash was edited": (
        "requirements/dev.txt",
        r"(^pytest==.*?--hash=sha256:)\w{8}",
        r"\g<1>00000000",
        "other hashes",
    ),
    "a marker was dropped": (
        "requirements/runtime.txt",
        r'^(uvloop==\S+ ;.*?) and sys_platform != "win32"',
        r"\1",
        "the marker of uvloop",
    ),
    "a marker was narrowed": (
        "requirements/runtime.txt",
        r"^(fastapi==\S+ ; )",
        r'\1sys_platform == "linux" and ',
        "the marker of fastapi",
    ),
    "a marker is broken": ("requirements/runtime.txt", r"^(fastapi==\S+ ; )", r"\1(", "marker"),
    "an index was slipped in": (
        "requirements/dev.txt",
        r"\A",
        "--extra-index-url=file:///elsewhere\n",
        "not a pinned requirement",
    ),
    "a pin became a range": ("requirements/dev.txt", r"^pytest==", "pytest>=", "not a pinned requirement"),
    "torch came in": ("requirements/torch.txt", r"\Z", "torch==2.13.0\n", "torch==2.13.0 is too much"),
    "the build backend was edited": (
        "requirements/build.txt",
        r"poetry-core==\S+",
        "poetry-core==2.0.0",
        "poetry-core",
    ),
}


@pytest.mark.parametrize(("file", "pattern", "replacement", "complaint"), DRIFTS.values(), ids=DRIFTS.keys())
def test_drift_is_caught(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    pattern: str,
    replacement: str,
    complaint: str,
) -> None:
    """If one of these passed, what is installed could differ from what was reviewed and locked."""
    change(project / file, pattern, replacement)
    assert check.main(["--root", str(project)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(complaint in line for line in lines), lines
    assert all("run make lock" in line for line in lines), "each line says what mends it"


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda root: (root / "requirements/torch.txt").unlink(), "requirements/torch.txt is missing"),
        (lambda root: (root / "poetry.lock").unlink(), "poetry.lock"),
        (lambda root: (root / "poetry.lock").write_text("<<<<<<< HEAD\n"), "poetry.lock"),
        (lambda root: (root / "requirements/extra.txt").write_text(""), "requirements/extra.txt is not made"),
    ],
    ids=["no file", "no lock", "lock with a merge conflict", "stray file"],
)
def test_missing_and_stray_files_are_caught(
    project: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], object], complaint: str
) -> None:
    """A lost or broken file must give a line that names it, not a traceback, and never pass."""
    damage(project)
    assert check.main(["--root", str(project)]) == 1
    assert complaint in capsys.readouterr().err


LINUX = {
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "sys_platform": "linux",
    "platform_machine": "x86_64",
}


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("", True),
        ('python_version >= "3.9"', True),
        ('python_version < "3.9"', False),
        ('python_full_version < "3.11.3"', True),
        ('python_version == "3.11" and sys_platform == "win32" or platform_machine == "x86_64"', True),
        ('python_version == "3.11" and (sys_platform == "win32" or platform_machine == "arm64")', False),
        ('"linux" in sys_platform', True),
        ('sys_platform not in "linux darwin"', False),
        ('extra == "train"', True),
        ('extra == "torch" or extra != "train"', False),
    ],
)
def test_markers_are_evaluated_as_pep_508_says(marker: str, expected: bool) -> None:
    """A wrong evaluation (3.9 after 3.11, `or` before `and`) would hide a wrong marker of another system."""
    assert check.holds(marker, LINUX, frozenset({"train"})) is expected


@pytest.mark.parametrize(
    "marker", ["(", 'python_version >= "3.11" and', 'colour == "red"', "3.11 %", 'os_name == "posix" )']
)
def test_unreadable_markers_are_refused(marker: str) -> None:
    """A marker that is not understood must stop the check, not count as true."""
    with pytest.raises(ValueError, match="marker"):
        check.holds(marker, {**LINUX, "os_name": "posix"})
