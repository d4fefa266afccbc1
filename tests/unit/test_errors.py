from __future__ import annotations

import inspect
import re

import pytest

from mlapi import errors
from mlapi.errors import DeadlineExceeded, Draining, MlapiError, ModelError, Overloaded, Starting, Unavailable

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)]


def test_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    """If it fails, the drawing that everyone reads first leaves out an error, or hangs it elsewhere."""
    drawn = {}
    above: list[str] = []
    for bars, name in re.findall(
        r"^((?:│   |    )*[├└]── |)([A-Z]\w+) *", errors.__doc__ or "", re.MULTILINE
    ):
        depth = len(bars) // 4
        if depth == 0 and name != "MlapiError":
            continue  # the first words of the text above the drawing
        above = [*above[:depth], name]
        drawn[name] = above[-2] if depth else "Exception"
    assert drawn == {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES}


@pytest.mark.parametrize("cls", [Overloaded, Starting, Draining])
def test_unavailable_carries_its_advice(cls: type[Unavailable]) -> None:
    """If it fails, a 503 has no Retry-After, or its reason is lost."""
    error = cls("not now", retry_after=1.5)
    assert (str(error), error.retry_after) == ("not now", 1.5)


def test_a_passed_deadline_is_no_advice_to_try_again() -> None:
    """If it fails, 504 and 503 cannot be told apart, nor a model that is unfit from one that is busy."""
    assert not issubclass(DeadlineExceeded, Unavailable)
    assert not issubclass(ModelError, Unavailable)
    assert all(issubclass(cls, MlapiError) for cls in CLASSES)
