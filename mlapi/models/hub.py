"""`mlapi model pull`: a classifier from a model hub, as a directory that `mlapi model export` takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlapi.errors import HubError, ModelError
from mlapi.models.architectures import check_config
from mlapi.models.atomic import check_replaceable, fresh_directory
from mlapi.models.hub_bars import Progress
from mlapi.models.hub_client import Fetched, HubFiles
from mlapi.models.hub_errors import explained, room_needed
from mlapi.models.manifest import CONFIG_NAME, Source, file_entry
from mlapi.models.source import write_source
from mlapi.models.special_tokens import SETTINGS
from mlapi.models.vocabulary import VOCABULARY, build_tokenizer, check_tokenizer
from mlapi.models.weights import check_safetensors

TOKENIZER = "tokenizer.json"
SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
SHARDED = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def split_reference(reference: str) -> tuple[str, str | None]:
    """Split `OWNER/NAME@REVISION`; the revision is None where it is left out.

    Raises:
        HubError: A part is empty, or the revision is no name that git takes.
    """
    repository, at, revision = reference.partition("@")
    if not repository or (at and not revision) or ".." in revision:
        raise HubError(f"{reference!r} is no model of a hub; write OWNER/NAME or OWNER/NAME@REVISION")
    return repository, revision or None


def pull(
    repository: str,
    revision: str | None,
    out: Path,
    *,
    progress: Progress,
    allow_pickle: bool = False,
    offline: bool = False,
    check: Callable[[dict[str, Any]], None] = check_config,
) -> Source:
    """Fetch a sequence classifier, prove its files, and write them as one directory.

    The directory holds `config.json`, `tokenizer.json`, `model.safetensors` (or `pytorch_model.bin`) and,
    last, `hub.json`. It appears at `out` in one rename. Small files come first, so that what will be refused
    is refused before the weights are fetched. No code of the repository is fetched.

    Args:
        repository: Owner and name.
        revision: Branch, tag or commit; None is the default branch.
        out: The directory to make, or to replace where it is a model directory.
        progress: Is told of what is downloaded.
        allow_pickle: Whether to take `pytorch_model.bin` where there is no `model.safetensors`. Nothing is
            loaded from it here.
        offline: Whether to take everything from the client's cache.
        check: Raises ModelError where a `config.json` is not of the kind that is wanted.

    Returns:
        The commit, and the SHA-256 of each file that was used.

    Raises:
        HubError: The files cannot be had, or are not what the hub says.
        ModelError: The model is of a kind that is not supported.
        ConfigurationError: `out` cannot be written, or holds something that is no model directory.
    """
    check_replaceable(out)
    files = HubFiles(repository, revision, offline=offline, progress=progress)
    try:
        used, built = _choose(files, allow_pickle=allow_pickle, check=check)
    except HubError:
        raise
    except ModelError as error:
        raise HubError(f"{repository}: {error}") from None
    kept = [fetched for fetched in used if fetched.name in {CONFIG_NAME, TOKENIZER, SAFETENSORS, PICKLE}]
    source = Source(
        repository=repository,
        revision=files.commit,
        files={fetched.name: fetched.sha256 for fetched in used},
    )
    with explained(repository, files.commit, out), fresh_directory(out) as partial:
        room_needed(sum(fetched.path.stat().st_size for fetched in kept), partial)
        for fetched in kept:
            shutil.copyfile(fetched.path, partial / fetched.name)
            if file_entry(partial / fetched.name).sha256 != fetched.sha256:
                raise HubError(
                    f"{fetched.name} changed while it was copied to {out}; run the same command again"
                )
        if built is not None:
            (partial / TOKENIZER).write_text(built, encoding="utf-8")
        write_source(partial, source)
    return source


def _choose(
    files: HubFiles, *, allow_pickle: bool, check: Callable[[dict[str, Any]], None]
) -> tuple[list[Fetched], str | None]:
    """Fetch what is needed and check it; return the files, and a tokenizer where it had to be built."""
    config_file = _required(files, CONFIG_NAME)
    config = _read_config(config_file.path)
    check(config)
    tokenizer_files, built = _tokenizer(files, config)
    return [config_file, *tokenizer_files, _weights(files, allow_pickle=allow_pickle)], built


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise ModelError(f"{CONFIG_NAME} is not a JSON object; choose another model or revision")
    return config


def _tokenizer(files: HubFiles, config: dict[str, Any]) -> tuple[list[Fetched], str | None]:
    if ready := files.fetch(TOKENIZER):
        check_tokenizer(ready.path)
        return [ready], None
    model_type = config["model_type"]
    if model_type not in VOCABULARY:
        raise ModelError(
            f"there is no {TOKENIZER}, and none can be built for {model_type}, whose vocabulary is a "
            f"SentencePiece file; choose a revision with {TOKENIZER}, or save the fast tokenizer with "
            "transformers and upload it"
        )
    vocabulary = [files.fetch(name) for name in VOCABULARY[model_type]]
    if None in vocabulary:
        raise ModelError(
            f"there is neither {TOKENIZER} nor {' with '.join(VOCABULARY[model_type])} to build it from; "
            "choose another model or revision"
        )
    found = [fetched for fetched in (*vocabulary, *map(files.fetch, SETTINGS)) if fetched is not None]
    return found, build_tokenizer(config, {fetched.name: fetched.path for fetched in found})


def _weights(files: HubFiles, *, allow_pickle: bool) -> Fetched:
    if weights := files.fetch(SAFETENSORS):
        check_safetensors(weights.path)
        return weights
    for name in SHARDED:
        if files.fetch(name):
            raise ModelError(
                f"the weights are split into several files ({name}), which is not supported; load the "
                "model with transformers and save it with max_shard_size='100GB', which gives one "
                f"{SAFETENSORS}"
            )
    if not allow_pickle:
        raise ModelError(
            f"there is no {SAFETENSORS}; a pickle checkpoint ({PICKLE}) can run code when it is loaded, so "
            "it is taken only with --allow-pickle, and then loaded with weights alone"
        )
    return _required(files, PICKLE)


def _required(files: HubFiles, name: str) -> Fetched:
    if fetched := files.fetch(name):
        return fetched
    raise ModelError(f"there is no {name}; choose another model or revision")
