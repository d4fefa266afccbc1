"""The tokens that a tokenizer never splits, read from the files beside a vocabulary, as transformers does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlapi.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""What may stand beside a vocabulary and changes what is made of it."""

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""In the order in which transformers adds them."""


def special_tokens(
    files: Mapping[str, Path], settings: dict[str, Any], defaults: Mapping[str, str]
) -> dict[str, AddedToken]:
    """Return the named special tokens by their names, in the order in which they are added.

    `special_tokens_map.json` counts only where `tokenizer_config.json` has no `added_tokens_decoder`, the
    newer way to say the same.
    """
    given = {**defaults, **_tokens_of(settings)}
    listed = {token.content: token for token in _listed(settings).values()}
    if "added_tokens_decoder" not in settings:
        marked = _tokens_of(read_settings(files, "special_tokens_map.json"))
        given.update({name: _as_special(value) for name, value in marked.items()})
    order = [*NAMED, *(name for name in given if name not in NAMED)]
    tokens = {name: _token(given[name]) for name in order if name in given}
    return {name: listed.get(token.content, token) for name, token in tokens.items()}


def add_tokens(
    tokenizer: Tokenizer,
    files: Mapping[str, Path],
    settings: dict[str, Any],
    special: Mapping[str, AddedToken],
) -> None:
    """Add what is never split, and check that each token got the id that the files give it."""
    listed = _listed(settings)
    others = dict(settings)
    if "added_tokens_decoder" not in settings:
        others.update(read_settings(files, "special_tokens_map.json"))
    extra = [_token(token) for token in _extra(others)]
    if "added_tokens_decoder" not in settings:
        marked = {token.content for token in (*special.values(), *extra)}
        for content, index in read_settings(files, "added_tokens.json").items():
            listed[int(index)] = _plain(str(content), special=content in marked)
    names = {token.content for token in special.values()}
    added: dict[str, AddedToken] = {}
    for token in (*(listed[index] for index in sorted(listed)), *special.values(), *extra):
        if token.content in names:
            token.special = True
        added.setdefault(token.content, token)
    tokenizer.add_tokens(list(added.values()))
    for index, token in listed.items():
        if tokenizer.token_to_id(token.content) != index:
            raise ModelError(
                f"the vocabulary gives an added token another id than {index}, which the tokenizer's "
                "settings say; correct the model at its source"
            )


def _listed(settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    return {int(index): _token(token) for index, token in settings.get("added_tokens_decoder", {}).items()}


def _tokens_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that name one token each."""
    extra = settings.get("extra_special_tokens")
    named = {**settings, **extra} if isinstance(extra, dict) else settings
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, str | dict) and (name.endswith("_token") or name in (extra or ()))
    }


def _extra(settings: Mapping[str, Any]) -> Iterator[Any]:
    given = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or ()
    if not isinstance(given, dict):
        yield from given


def _token(value: Any) -> AddedToken:
    """Read one token as the settings write it: its text, or an object."""
    from tokenizers import AddedToken

    if isinstance(value, str):
        return AddedToken(value, special=True)
    return AddedToken(**{name: part for name, part in value.items() if name != "__type"})


def _as_special(value: Any) -> Any:
    return {**value, "special": True} if isinstance(value, dict) else value


def _plain(content: str, *, special: bool) -> AddedToken:
    from tokenizers import AddedToken

    return AddedToken(content, normalized=not special, special=special)


def read_settings(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    """Read one of `SETTINGS`; an empty object where it is not there."""
    if name not in files:
        return {}
    try:
        settings = json.loads(files[name].read_bytes())
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ModelError(f"{name} is not a JSON object; correct the model at its source")
    return settings
