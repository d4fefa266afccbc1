"""`hub.json`: where the files of a pulled directory came from. It is the last file that a pull writes."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from mlapi.errors import DigestMismatch, ManifestError
from mlapi.models.manifest import Source, file_entry

HUB_NAME = "hub.json"


def read_source(directory: Path) -> Source | None:
    """Read `hub.json` and check that the hub's files in the directory are still those that were pulled.

    Args:
        directory: Any directory with a model's files.

    Returns:
        What `hub.json` says, or None where the directory was not pulled from a hub.

    Raises:
        ManifestError: `hub.json` is malformed.
        DigestMismatch: A file is not the one that was pulled.
    """
    path = directory / HUB_NAME
    try:
        source = Source.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or HUB_NAME
        raise ManifestError(f"{path}: {place}: {first['msg']}; pull the model anew") from None
    for name, expected in source.files.items():
        # Vocabulary files are named too, from which tokenizer.json was built; they were not kept.
        if (directory / name).exists() and file_entry(directory / name).sha256 != expected:
            raise DigestMismatch(f"{directory / name} is not the file that was pulled; pull the model anew")
    return source


def write_source(directory: Path, source: Source) -> None:
    """Write `hub.json`."""
    (directory / HUB_NAME).write_text(source.model_dump_json(indent=2) + "\n", encoding="utf-8")
