"""Changes to a render that a cross-check must notice."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.deploy.cross_checks.registry import Check
from tests.support.deploy.objects import Object, name_of


class _Gone:
    def __str__(self) -> str:
        return "gone"


GONE = _Gone()
"""In place of a value: what the path names is taken away."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """One fault.

    Attributes:
        check: That must notice it.
        render: What it is made in, a name from `tests/deploy/conftest.py`.
        where: Kind and name of the object, such as `Deployment mlapi`.
        path: Inside the object, parts divided by `/`: a key, a list's index, or the `name` of a list's item.
            Empty for the object itself.
        value: What is put there; GONE; or a function of what is there.
        says: Part of a finding.
    """

    check: Check
    render: str
    where: str
    path: str
    value: Any
    says: str

    def __str__(self) -> str:
        return f"{self.check.__name__}: {self.where} {self.path}"

    def applied(self, objects: Sequence[Object]) -> list[Object]:
        """Return a copy of the objects with the fault.

        Raises:
            LookupError: The place is not there.
        """
        changed = copy.deepcopy(list(objects))
        at = next((index for index, one in enumerate(changed) if name_of(one) == self.where), None)
        if at is None:
            raise LookupError(f"{self.where} is not in the render")
        if self.path:
            _change(changed[at], self.path.split("/"), self.value)
        elif self.value is GONE:
            del changed[at]
        else:
            changed += [] if (more := self.value(changed[at])) is None else [more]
        return changed


def another(name: str) -> Callable[[Object], Object]:
    """Return a function that copies an object under another name."""

    def copied(one: Object) -> Object:
        twin = copy.deepcopy(one)
        twin["metadata"]["name"] = name
        return twin

    return copied


def _change(node: Any, path: list[str], value: Any) -> None:
    *parents, last = path
    for part in parents:
        node = node[_key(node, part)]
    key = _key(node, last)
    if value is GONE:
        del node[key]
    else:
        node[key] = value(node[key]) if callable(value) else value


def _key(node: Any, part: str) -> str | int:
    if not isinstance(node, list):
        return part.replace("~", "/")
    if part.isdigit():
        return int(part)
    return next(index for index, item in enumerate(node) if item.get("name") == part)
