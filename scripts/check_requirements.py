"""Prove, offline and with the standard library, that pyproject.toml, poetry.lock and requirements/ agree.

Two things are checked:

1. The content hash in poetry.lock is that of pyproject.toml, computed as Poetry does
   (``poetry/packages/locker.py``, ``Locker._get_content_hash``, Poetry 2.x).
2. Every file of requirements/ holds what the lock says: all packages that its groups and extras reach and no
   other, at the same versions, with the same hashes, under the same conditions. For that the lock's graph is
   walked once for every supported Python on every supported platform, so a wrong environment marker is found
   on any machine.

Prints one line for each difference and exits with 1, or says that all agree and exits with 0.
"""

import argparse
import functools
import hashlib
import itertools
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REMEDY = "run make lock"


@dataclass(frozen=True, slots=True)
class Selection:
    """What one file of requirements/ is made from."""

    groups: frozenset[str]
    extras: frozenset[str] = frozenset()
    #: torch's builds differ by index and pull gigabytes of CUDA: whoever needs torch installs it on purpose.
    without_torch: bool = False


FILES = {
    "runtime.txt": Selection(frozenset({"main"})),
    "runtime-torch.txt": Selection(frozenset({"main"}), frozenset({"torch"}), without_torch=True),
    "dev.txt": Selection(frozenset({"main", "dev"})),
    "torch.txt": Selection(frozenset({"main", "dev"}), frozenset({"export", "train"}), without_torch=True),
    "build.txt": Selection(frozenset({"build"})),
}
#: Not made from the lock; pip checks its hashes like the others'.
KEPT_BY_HAND = {"encoder.txt"}
TORCH_OR_CUDA = re.compile(r"^(torch$|triton$|nvidia-|cuda-)")

#: (sys_platform, platform_system, os_name, platform_machine)
PLATFORMS = [
    ("linux", "Linux", "posix", "x86_64"),
    ("linux", "Linux", "posix", "aarch64"),
    ("darwin", "Darwin", "posix", "arm64"),
    ("darwin", "Darwin", "posix", "x86_64"),
    ("win32", "Windows", "nt", "AMD64"),
    # Nobody serves from this one, but dependencies are locked for it too.
    ("emscripten", "Emscripten", "posix", "wasm32"),
]
#: One patch release each, and both sides of 3.11.3: redis needs a backport of asyncio.timeout before it.
PYTHONS = ["3.11.2", "3.11.9", "3.12.9", "3.13.9", "3.14.9"]

Environment = Mapping[str, str]
Pin = tuple[str, str]  # name, version


def environments() -> Iterator[dict[str, str]]:
    """The marker variables (PEP 508) of every Python on every platform that is supported."""
    for python, (sys_platform, system, os_name, machine) in itertools.product(PYTHONS, PLATFORMS):
        yield {
            "python_full_version": python,
            "python_version": python.rpartition(".")[0],
            "sys_platform": sys_platform,
            "platform_system": system,
            "os_name": os_name,
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
        }


# --- environment markers ---

TOKEN = re.compile(r"""\s*(?:(\(|\))|("[^"]*"|'[^']*')|(not\s+in\b|[<>=!~]=?=?|[A-Za-z_]\w*))""")


def holds(marker: str, environment: Environment, extras: frozenset[str] = frozenset()) -> bool:
    """Whether a marker is true in an environment.

    Args:
        marker: The text after the semicolon of a requirement; empty means always.
        environment: The marker variables but `extra`.
        extras: The extras that were asked for; ``extra == "x"`` is true for each of them.

    Raises:
        ValueError: The text is not a marker, or it uses a variable or operator that is not known here.
    """
    return not marker.strip() or Marker(marker, environment, extras).evaluate()


@functools.cache  # the same few markers are read for every environment
def tokens_of(marker: str) -> list[str]:
    """The words, quoted texts, operators and brackets of a marker."""
    tokens = []
    position = 0
    while marker[position:].strip():
        match = TOKEN.match(marker, position)
        if match is None:
            raise ValueError(f"cannot read the marker {marker!r}")
        tokens.append(" ".join(match.group(0).split()))
        position = match.end()
    return tokens


class Marker:
    """Evaluates one marker while reading it: `or` over `and` over comparisons and brackets."""

    def __init__(self, text: str, environment: Environment, extras: frozenset[str]) -> None:
        self.text, self.environment, self.extras = text, environment, extras
        self.tokens = tokens_of(text)[::-1]  # reversed, so that pop() takes the next one

    def evaluate(self) -> bool:
        """The marker's value."""
        try:
            value = self.any_of()
        except (IndexError, KeyError, ValueError) as error:
            raise ValueError(f"cannot read the marker {self.text!r}") from error
        if self.tokens:
            raise ValueError(f"cannot read the marker {self.text!r} from {self.tokens[-1]!r} on")
        return value

    def any_of(self) -> bool:
        """Alternatives."""
        value = self.all_of()
        while self.tokens and self.tokens[-1] == "or":
            self.tokens.pop()
            value = self.all_of() or value  # the right side is read in any case
        return value

    def all_of(self) -> bool:
        """Conditions that must hold together."""
        value = self.comparison()
        while self.tokens and self.tokens[-1] == "and":
            self.tokens.pop()
            value = self.comparison() and value
        return value

    def comparison(self) -> bool:
        """One comparison, or a bracket."""
        if self.tokens[-1] == "(":
            self.tokens.pop()
            value = self.any_of()
            if self.tokens.pop() != ")":
                raise ValueError("a bracket is not closed")
            return value
        left, operator, right = self.tokens.pop(), self.tokens.pop(), self.tokens.pop()
        if left == "extra":
            return (right[1:-1] in self.extras) == {"==": True, "!=": False}[operator]
        as_version = "version" in left or "version" in right
        left, right = value_of(left, self.environment), value_of(right, self.environment)
        return compare(left, operator, right, as_version=as_version)


def value_of(token: str, environment: Environment) -> str:
    """A quoted token's text, or a variable's value."""
    return token[1:-1] if token[0] in "\"'" else environment[token]


def compare(left: str, operator: str, right: str, *, as_version: bool) -> bool:
    """One comparison of a marker; versions are compared number by number, all else as text."""
    if operator == "in":
        return left in right
    if operator == "not in":
        return left not in right
    a: Any = left
    b: Any = right
    if as_version:
        parts = max(left.count("."), right.count(".")) + 1
        a, b = ([*map(int, v.split(".")), *[0] * parts][:parts] for v in (left, right))
    outcomes = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}
    return bool(outcomes[operator])


# --- what the lock says ---


def normal(name: str) -> str:
    """A project's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def content_hash(pyproject: Mapping[str, Any]) -> str:
    """The hash by which Poetry knows that its lock was made from this pyproject.toml, in hexadecimal."""
    project, poetry = pyproject.get("project", {}), pyproject.get("tool", {}).get("poetry", {})
    relevant: dict[str, Any] = {}
    keys = ("requires-python", "dependencies", "optional-dependencies")
    if content := {key: project[key] for key in keys if key in project}:
        relevant["project"] = content
    if groups := pyproject.get("dependency-groups", {}):
        relevant["dependency-groups"] = groups
    tool_keys = ("dependencies", "source", "extras", "dev-dependencies", "group")
    relevant["tool"] = {"poetry": {key: poetry[key] for key in tool_keys if key in poetry}}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def roots(pyproject: Mapping[str, Any], selection: Selection) -> Iterator[str]:
    """The requirements in pyproject.toml that a selection starts from, as they are written there."""
    project = pyproject["project"]
    if "main" in selection.groups:
        yield from project["dependencies"]
    for extra in selection.extras:
        yield from project["optional-dependencies"][extra]
    for group in selection.groups - {"main"}:
        yield from pyproject["dependency-groups"][group]


def parse(requirement: str) -> tuple[str, frozenset[str], str]:
    """Name, extras and marker of a requirement (PEP 508); its version range is the lock's affair."""
    text, _, marker = requirement.partition(";")
    match = re.match(r"\s*([\w.-]+)\s*(?:\[([^\]]*)\])?", text)
    if match is None:
        raise ValueError(f"cannot read the requirement {requirement!r}")
    extras = frozenset(normal(extra.strip()) for extra in (match[2] or "").split(",") if extra.strip())
    return normal(match[1]), extras, marker


def edges(
    package: Mapping[str, Any], extras: frozenset[str], environment: Environment
) -> Iterator[tuple[str, frozenset[str]]]:
    """The (name, extras) that a locked package needs in an environment, given the extras asked of it."""
    offered = package.get("extras", {})
    asked_for = {parse(text)[0] for extra in extras for text in offered.get(extra, [])}
    for name, value in package.get("dependencies", {}).items():
        for entry in value if isinstance(value, list) else [value]:
            details = entry if isinstance(entry, dict) else {}
            if details.get("optional") and normal(name) not in asked_for:
                continue
            if holds(details.get("markers", ""), environment, extras):
                yield normal(name), frozenset(map(normal, details.get("extras", [])))


def is_selected(package: Mapping[str, Any], selection: Selection, environment: Environment) -> bool:
    """Whether the lock foresees this version of a package for the selection in the environment."""
    markers = package.get("markers", "")
    for group in selection.groups.intersection(package["groups"]):
        marker = markers.get(group, "") if isinstance(markers, dict) else markers
        if holds(marker, environment, selection.extras):
            return True
    return False


def reachable(
    pyproject: Mapping[str, Any],
    packages: Mapping[str, list[dict[str, Any]]],
    selection: Selection,
    environment: Environment,
) -> set[Pin]:
    """The packages that the selection installs in the environment, by a walk over the lock's graph.

    Raises:
        LookupError: The lock lacks a package that it or pyproject.toml asks for.
    """
    queue = [
        (name, extras, "pyproject.toml")
        for name, extras, marker in map(parse, roots(pyproject, selection))
        if holds(marker, environment)
    ]
    seen, pins = set(), set()
    while queue:
        name, extras, parent = queue.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if selection.without_torch and TORCH_OR_CUDA.match(name) and name != "torch":
            continue
        found = [
            package for package in packages.get(name, []) if is_selected(package, selection, environment)
        ]
        if not found:
            raise LookupError(f"{parent} needs {name}, which is not locked for {describe(environment)}")
        for package in found:
            if not (selection.without_torch and name == "torch"):
                pins.add((name, package["version"]))
            queue += [(child, wanted, name) for child, wanted in edges(package, extras, environment)]
    return pins


def describe(environment: Environment) -> str:
    """An environment in words."""
    return "Python {python_full_version} on {platform_system} {platform_machine}".format_map(environment)


# --- what the files say ---

LINE = re.compile(r"([\w.-]+)(?:\[[\w.,-]+\])?==([\w.+!]+)(?:\s*;\s*(.*?))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One requirement of a file."""

    marker: str
    hashes: frozenset[str]


def read_requirements(text: str) -> tuple[dict[Pin, Entry], list[str]]:
    """The entries of a file of requirements, and the lines that are none."""
    entries: dict[Pin, Entry] = {}
    strange = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+--hash=", line.strip())
        match = LINE.fullmatch(requirement.strip())
        if match is None:
            strange.append(line.strip())
            continue
        entries[normal(match[1]), match[2]] = Entry(match[3] or "", frozenset(hashes))
    return entries, strange


def differences(root: Path) -> Iterator[str]:
    """One line for each place where a folder's pyproject.toml, poetry.lock and requirements/ do not agree."""
    tables = []
    for name in ("pyproject.toml", "poetry.lock"):
        try:
            tables.append(tomllib.loads((root / name).read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError) as error:
            yield f"{name} cannot be read ({error}): restore it with git, then {REMEDY}"
            return
    pyproject, lock = tables
    if lock["metadata"]["content-hash"] != content_hash(pyproject):
        yield f"poetry.lock was made from another pyproject.toml (the content hash differs): {REMEDY}"
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in lock["package"]:
        packages.setdefault(normal(package["name"]), []).append(package)
    for name, selection in FILES.items():
        path = root / "requirements" / name
        if not path.is_file():
            yield f"requirements/{name} is missing: {REMEDY}"
            continue
        text = path.read_text(encoding="utf-8")
        try:
            for line in differences_of_file(text, pyproject, packages, selection):
                yield f"requirements/{name}: {line}: {REMEDY}"
        except (LookupError, ValueError) as error:
            yield f"requirements/{name}: {error}: {REMEDY}"
    for stray in sorted(
        {path.name for path in (root / "requirements").glob("*.txt")} - FILES.keys() - KEPT_BY_HAND
    ):
        yield f"requirements/{stray} is not made from the lock: delete it, or add it to the files in scripts/"


def differences_of_file(
    text: str,
    pyproject: Mapping[str, Any],
    packages: Mapping[str, list[dict[str, Any]]],
    selection: Selection,
) -> Iterator[str]:
    """One line for each difference between a file's text and what the lock says about its selection."""
    entries, strange = read_requirements(text)
    for line in strange:
        yield f"{line!r} is not a pinned requirement"
    grid = list(environments())
    wanted = [reachable(pyproject, packages, selection, environment) for environment in grid]
    pins = set().union(*wanted)
    for name, version in sorted(pins - entries.keys()):
        yield f"{name}=={version} is missing"
    for name, version in sorted(entries.keys() - pins):
        locked = " and ".join(sorted(v for n, v in pins if n == name))
        yield f"{name}=={version} is too much" + (f", the lock says {locked}" if locked else "")
    for pin in sorted(pins & entries.keys()):
        name, version = pin
        (package,) = (package for package in packages[name] if package["version"] == version)
        if {file["hash"] for file in package["files"]} != entries[pin].hashes:
            yield f"{name}=={version} has other hashes than the lock"
        for environment, expected in zip(grid, wanted, strict=True):
            if holds(entries[pin].marker, environment) != (pin in expected):
                verb = "lacks" if pin in expected else "installs"
                place = describe(environment)
                yield f"the marker of {name}=={version} {verb} it for {place}, unlike the lock"
                break


def main(arguments: list[str] | None = None) -> int:
    """Check a folder and return the exit status."""
    parser = argparse.ArgumentParser(
        description="Check that pyproject.toml, poetry.lock and requirements/ agree."
    )
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parent.parent, help="the repository"
    )
    root = parser.parse_args(arguments).root
    found = list(differences(root))
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print("pyproject.toml, poetry.lock and requirements/ agree")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
