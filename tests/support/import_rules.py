"""Reads every import of the package and says which ones break the rules of who may know whom.

A rule counts for all imports, those inside functions and those for typing included: knowing is knowing. Only
the rule about the time of use looks at where an import stands.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "mlapi"

PRIMITIVES = frozenset({"types", "errors"})
KNOW_EVERYTHING = frozenset(
    {"main", "parts", "redis_access", "cli", "model_cli", "wait_cli", "flags", "__main__", "serve", "offline"}
)
"""Where things are wired together: `main` with its parts, and the command line with its commands."""

OUTER = KNOW_EVERYTHING | {"api", "settings", "training"}
"""What the core never knows. A module that is not listed in `MAY_IMPORT` belongs to the core."""

MAY_IMPORT: dict[str, frozenset[str]] = {
    "types": frozenset(),
    "errors": frozenset(),
    "ports": frozenset({"types"}),
    "settings": PRIMITIVES,
    "resources": PRIMITIVES,
    "metrics": PRIMITIVES,
    "log": PRIMITIVES,
    "models": PRIMITIVES | {"models"},
    "classifier": PRIMITIVES | {"ports", "models", "engines"},
    "engines": PRIMITIVES | {"ports", "resources", "models", "engines", "classifier"},
    "cache": PRIMITIVES | {"ports", "cache"},
    "gate": PRIMITIVES | {"cache", "gate"},
    "api": PRIMITIVES | {"api", "predictor", "serving"},
    "training": PRIMITIVES | {"training", "models", "engines", "classifier", "ports", "resources"},
}
"""By part of the package (a module, or a folder), what of ours it may import."""

OWN_FILES: dict[str, tuple[str, ...]] = {
    "torch": ("engines/torch.py", "training/"),
    "transformers": ("engines/torch.py", "training/"),
    "safetensors": ("training/",),
    "accelerate": ("training/",),
    "sklearn": ("training/",),
    "scipy": ("training/",),
    "matplotlib": ("training/",),
    "onnx": ("training/",),
    "onnxscript": ("training/",),
    "onnxruntime": ("engines/onnx.py", "training/"),
    "openvino": ("engines/openvino.py", "training/"),
    "tokenizers": ("engines/tokenizer.py", "models/special_tokens.py", "models/vocabulary.py", "training/"),
    "redis": ("cache/redis.py", "cache/connections.py"),
    "huggingface_hub": ("models/hub_client.py", "models/hub_errors.py"),
    "fastapi": ("api/", "main.py"),
    "starlette": ("api/", "main.py"),
    "prometheus_fastapi_instrumentator": ("api/", "main.py"),
}
"""By library, the files (or folders) that may import it."""

NAMED_ONLY = {"fastapi": ("server.py",)}
"""By library, the files that may name its types, but not import it when they run."""

AT_TIME_OF_USE = frozenset(OWN_FILES) - {"fastapi", "starlette", "prometheus_fastapi_instrumentator"}
"""Libraries that importing a module must not pull in: the function that needs one imports it.

Training is free of this rule, since it is all about them; in return, `mlapi.training` falls under it.
"""

TRAIN_COMMANDS = "cli"
"""The module of training that declares its commands, and imports nothing heavy to do so."""

ENVIRONMENT = ("settings.py", "main.py", "cli.py", "supervisor.py")
"""Where the environment may be read; the supervisor hands its own on to its workers."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module.

    Attributes:
        name: Dotted, absolute.
        line: Where it stands.
        runs: Whether it runs when the module is imported.
    """

    name: str
    line: int
    runs: bool


def violations(root: Path) -> list[str]:
    """Check a package folder and return one line per broken rule, `file:line: what`."""
    found = []
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root).as_posix()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for imported in _imports(tree, place):
            found += [f"{place}:{imported.line}: {what}" for what in _broken(imported, place)]
        if place not in ENVIRONMENT:
            found += [f"{place}:{line}: reads the environment" for line in _environment(tree)]
    return found


def _broken(imported: Import, place: str) -> Iterator[str]:
    library, _, rest = imported.name.partition(".")
    if library == PACKAGE:
        importer, target = _part(place), rest.partition(".")[0]
        if target and target != importer and not _may_import(importer, target):
            yield f"{importer} may not import {target}"
        elif target == "training" != importer and imported.runs and rest.split(".")[1:2] != [TRAIN_COMMANDS]:
            yield "training must be imported at the time of use, inside a function"
        return
    homes = OWN_FILES.get(library)
    named = not imported.runs and place in NAMED_ONLY.get(library, ())
    at_home = any(place == home or (home[-1] == "/" and place.startswith(home)) for home in homes or ())
    if homes is not None and not at_home and not named:
        yield f"{library} may only be imported in {', '.join(homes)}"
    if library in AT_TIME_OF_USE and imported.runs and _part(place) != "training":
        yield f"{library} must be imported at the time of use, inside a function"


def _may_import(importer: str, target: str) -> bool:
    if target == "training" and importer != "training":
        return importer in {"cli", "model_cli"}
    if importer in KNOW_EVERYTHING:
        return True
    allowed = MAY_IMPORT.get(importer)
    return target not in OUTER if allowed is None else target in allowed


def _part(place: str) -> str:
    return place.partition("/")[0].removesuffix(".py")


def _imports(tree: ast.Module, place: str) -> Iterator[Import]:
    idle = {id(inner) for node in ast.walk(tree) if _does_not_run(node) for inner in _body(node)}
    for node in ast.walk(tree):
        runs = id(node) not in idle
        for name in _names(node, place):
            yield Import(name, getattr(node, "lineno", 0), runs)


def _names(node: ast.AST, place: str) -> list[str]:
    match node:
        case ast.Import(names=aliases):
            return [alias.name for alias in aliases]
        case ast.ImportFrom(module=module, names=aliases, level=level):
            base = ".".join(part for part in (_package(place, level), module) if part)
            # `from mlapi import errors` names a module, or a constant of the package.
            return [f"{base}.{alias.name}" for alias in aliases] if base == PACKAGE else [base]
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module"), args=[ast.Constant(value=str(name)), *_]
        ):
            return [name]
        case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
            return [name]
    return []


def _package(place: str, level: int) -> str:
    """Return the package that a relative import of this level starts from; nothing for an absolute one."""
    if level == 0:
        return ""
    folders = [PACKAGE, *place.split("/")[:-1]]
    return ".".join(folders[: len(folders) - (level - 1)])


def _does_not_run(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _body(node: ast.AST) -> Iterator[ast.AST]:
    body = getattr(node, "body", [])
    for part in body if isinstance(body, list) else [body]:
        yield from ast.walk(part)


def _environment(tree: ast.Module) -> list[int]:
    reads = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}:
            reads.append(node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            reads += [node.lineno for alias in node.names if alias.name in {"environ", "getenv"}]
    return reads
