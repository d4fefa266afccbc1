"""Reading Kubernetes objects so that no field is passed over in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


class UnimplementedError(Exception):
    """A field, or a value of one, that the reader of a manifest does not know what to do with."""


class Fields:
    """A mapping of which every key must be taken; used as a context, it fails at its end on what is left.

        with Fields(port, "spec.ports[http]") as fields:
            number = fields.need("containerPort")

    A runner that ignored what it does not know would show pods that run otherwise in a cluster.
    """

    def __init__(self, value: object, path: str) -> None:
        """Hold a copy of the mapping.

        Args:
            value: The mapping.
            path: Where it stands, for messages.

        Raises:
            UnimplementedError: It is no mapping.
        """
        if not isinstance(value, dict):
            raise UnimplementedError(f"{path}: a mapping is expected here, not {value!r}")
        self._left: dict[str, Any] = dict(value)
        self.path = path

    def take(self, name: str, default: Any = None) -> Any:
        """Return the field's value, or the default where it is absent."""
        return self._left.pop(name, default)

    def need(self, name: str) -> Any:
        """Return the value of a field that must be there."""
        if name not in self._left:
            raise UnimplementedError(f"{self.path}.{name} is missing")
        return self._left.pop(name)

    def one_of(self, name: str, values: tuple[str, ...]) -> str:
        """Return the value of a field that must be there, with one of these values."""
        value: str = self.need(name)
        if value not in values:
            raise UnimplementedError(f"{self.path}.{name}: {value!r} is not implemented, only {values}")
        return value

    def only(self, name: str, *values: object) -> None:
        """Take a field that is implemented for these values alone; absent is fine."""
        value = self._left.pop(name, values[0])
        if value not in values:
            known = " or ".join(map(repr, values))
            raise UnimplementedError(f"{self.path}.{name}: {value!r} is not implemented, only {known}")

    def strings(self, name: str) -> dict[str, str]:
        """Return a mapping whose keys are free, such as labels or data."""
        found = self._left.pop(name, None) or {}
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise UnimplementedError(f"{self.path}.{name}: only strings are implemented, not {found!r}")
        return found

    def words(self, name: str) -> tuple[str, ...] | None:
        """Return a list of strings, such as a command, or None where it is absent."""
        found = self._left.pop(name, None)
        return None if found is None else tuple(self._plain(name, word) for word in found)

    def literal(self, name: str) -> str:
        """Return a text that must be there, and stands for itself."""
        return self._plain(name, self.need(name))

    def child(self, name: str) -> Fields:
        """Return the fields of a mapping inside; of an empty one where it is absent."""
        return Fields(self._left.pop(name, None) or {}, f"{self.path}.{name}")

    def children(self, name: str) -> list[Fields]:
        """Return the fields of each mapping in a list, called by its name where it has one."""
        found = self._left.pop(name, None) or []
        return [
            Fields(each, f"{self.path}.{name}[{each.get('name', i) if isinstance(each, dict) else i}]")
            for i, each in enumerate(found)
        ]

    def pass_over(self, reasons: Mapping[str, str]) -> None:
        """Take fields that mean nothing outside a cluster; each must be given with its reason."""
        for name in reasons:
            self._left.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None and self._left:
            left = ", ".join(f"{self.path}.{name}" for name in self._left)
            raise UnimplementedError(f"not implemented: {left}")

    def _plain(self, name: str, text: str) -> str:
        if "$(" in text:
            raise UnimplementedError(f"{self.path}.{name}: references such as $(NAME) are not implemented")
        return text
