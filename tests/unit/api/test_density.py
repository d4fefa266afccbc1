from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlapi.api import density
from mlapi.api.density import check_density
from mlapi.api.problems import INVALID, TOO_MANY_TEXTS, Kind, Problem

TEXTS = st.lists(st.text() | st.text(alphabet=',:"\\[]{}', min_size=1), max_size=20)


def _check(raw: bytes, *, max_texts: int) -> None:
    asyncio.run(check_density(raw, max_texts=max_texts))


@settings(deadline=None, max_examples=200)
@given(texts=TEXTS, ascii_only=st.booleans(), spaces=st.sampled_from([(",", ":"), (" , ", " : ")]))
def test_no_valid_request_is_refused(texts: list[str], ascii_only: bool, spaces: tuple[str, str]) -> None:
    """If it fails, a good request is refused for what its texts happen to hold."""
    padding = "," * (density.SUSPICIOUS_COMMAS + 1)  # so that the whole body is looked at
    value: Any = {"text": [*texts, padding]}
    raw = json.dumps(value, ensure_ascii=ascii_only, separators=spaces).encode("utf-8", "surrogatepass")
    _check(raw, max_texts=len(value["text"]))


@settings(deadline=None, max_examples=100)
@given(raw=st.binary(max_size=300))
def test_any_bytes_end(raw: bytes) -> None:
    """If it fails, some bytes make the check crash or go on for ever."""
    with contextlib.suppress(Problem):
        _check(b"," * density.SUSPICIOUS_COMMAS + raw + b'",\\",', max_texts=10_000)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'{"text":[' + b'"",' * 1_001 + b'""]}', TOO_MANY_TEXTS),
        (b'{"text":[' + b"[]," * 1_001 + b"[]]}", TOO_MANY_TEXTS),
        (b"," * 1_002, TOO_MANY_TEXTS),
        (b"{" + b'"a":1,' * 1_001 + b'"a":1}', INVALID),
        (b'{"text":["\\\\",' + b"1," * 1_001 + b"1]}", TOO_MANY_TEXTS),
    ],
)
def test_more_values_than_a_request_has(raw: bytes, kind: Kind) -> None:
    """If it fails, millions of tiny values are parsed while everyone waits."""
    with pytest.raises(Problem) as caught:
        _check(raw, max_texts=256)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"," * 1_000,
        b'{"text":"' + b"," * 2_000 + b'"}',
        b'{"text":"' + b'\\",' * 2_000 + b'"}',
        b'{"text":"\\\\\\"' + b"," * 2_000 + b'"}',
        b'"' + b"," * 2_000,
        b'"\\' + b"," * 2_000,
    ],
)
def test_commas_that_do_not_count(raw: bytes) -> None:
    """If it fails, commas inside a text count as separators between texts."""
    _check(raw, max_texts=1)


async def test_the_event_loop_gets_its_turns() -> None:
    """If it fails, a body full of strings holds up every other request until it has been looked at."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await check_density(b'","' * (10 * density.STRINGS_AT_ONCE), max_texts=1)
    task.cancel()
    assert turns >= 9
