"""The README's examples, run as they stand there against the models that the repository carries."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlapi.models.manifest import read_manifest
from tests.support.http_server import REPOSITORY, HttpServer, clean_environment
from tests.support.readme import Example, blocks, differences

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks(PAGE)
PAGES = [*sorted(REPOSITORY.glob("*.md")), *sorted(REPOSITORY.glob("docs/**/*.md"))]
COMMAND = ".venv/bin/mlapi"
SERVICES = {"starter": ("127.0.0.1:8000", "/project"), "lab": ("127.0.0.1:8001", "/lab")}
"""By model, where the README's commands expect its service."""

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """Start a service for each model and return where it is, by the README's address of it."""
    with (
        HttpServer(REPOSITORY / "models" / "starter", threads=1) as starter,
        HttpServer(REPOSITORY / "models" / "lab", threads=1, prefix="/lab") as lab,
    ):
        running = {"starter": starter, "lab": lab}
        yield {shown: f"127.0.0.1:{running[name].port}" for name, (shown, _) in SERVICES.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like the repository to the commands, for the files that they write."""
    (tmp_path / "models").symlink_to(REPOSITORY / "models")
    return tmp_path


def _run(example: Example, addresses: dict[str, str], folder: Path) -> str:
    command = example.command.replace(COMMAND, f"'{sys.executable}' -m mlapi")
    for shown, real in addresses.items():
        command = command.replace(shown, real)
    # A proxy must not be asked, and python3 must be there whatever the machine calls its own.
    environment = clean_environment({"no_proxy": "127.0.0.1", "PYTHONPATH": str(REPOSITORY)})
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    # Coverage would look for the files to leave out in this folder, and so leave none out.
    environment = {name: value for name, value in environment.items() if not name.startswith("COV")}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout.decode().replace("\r\n", "\n")


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"the README's examples need {program}: install it to run this test")


@pytest.mark.parametrize("block", BLOCKS, ids=[block[0].command.split("\n")[0][:60] for block in BLOCKS])
def test_examples_print_what_the_readme_shows(
    block: list[Example], addresses: dict[str, str], folder: Path
) -> None:
    """If it fails, a newcomer who copies this command sees something else than the README promises."""
    _need("bash", *({"curl"} if any("curl" in example.command for example in block) else ()))
    for example in block:
        printed = _run(example, addresses, folder)
        assert differences(example.output, printed) == [], example.command


def test_readme_shows_what_a_newcomer_needs_first() -> None:
    """If it fails, the examples are no longer marked, and this file checks nothing."""
    commands = [example.command for block in BLOCKS for example in block]
    for part in ("/project/predict", "/bulk-predict", "/health", "/lab/predict", "mlapi predict", "--file"):
        assert any(part in command for command in commands), part


@pytest.mark.parametrize("name", SERVICES)
def test_accuracies_are_those_of_the_manifests(name: str) -> None:
    """If it fails, the README praises or blames a model that is not the one in the repository."""
    (row,) = re.findall(rf"^\| `models/{name}` \|.*$", PAGE, re.MULTILINE)
    _, _, _, variant, dev, test, _, _ = (cell.strip(" `") for cell in row.split("|"))
    measured = read_manifest(REPOSITORY / "models" / name).variants[variant].measured
    assert dev == f"{100 * measured['dev'].accuracy:.2f} %"
    assert test == f"{100 * measured['test'].accuracy:.2f} %"


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(REPOSITORY).as_posix() for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    """If it fails, a link of this page names a file or a heading that is not there."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        file, _, heading = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not heading or heading in _headings(target), link


def _headings(page: Path) -> set[str]:
    """Return the names by which the page's headings are linked to, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ('{"score": 0.5}', '{"score": 0.5009}', True),
        ('{"score": 0.5}', '{"score": 0.53}', False),
        ('{"label": "A", "time": "1"}', '{"label": "A", "time": "2"}', True),
        ('{"label": "A"}', '{"label": "B"}', False),
        ("[[1.0], [2.0]]", "[[1.0]]", False),
        ("x-cache: hits=0, misses=2", "x-cache: hits=2, misses=0", True),
        ("x-cache: hits=0, misses=2", "x-cache: hits=2", False),
        ("x-truncated: 0", "x-truncated: 1", False),
        ("HTTP/1.1 200 OK", "HTTP/1.1 422 Unprocessable Entity", False),
        ("one\ntwo", "one", False),
    ],
)
def test_comparison_sees_what_matters(shown: str, printed: str, *, alike: bool) -> None:
    """If it fails, the examples pass although the service answers otherwise, or fail although it does not."""
    assert (differences(shown, printed) == []) is alike
