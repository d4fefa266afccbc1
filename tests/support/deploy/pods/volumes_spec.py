"""What a pod's manifest says about its volumes, and the files that ConfigMaps and Secrets put into them."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.deploy.fields import Fields, UnimplementedError
from tests.support.deploy.objects import quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class EmptyDir:
    """Scratch space that lives as long as its pod; `size` in bytes, None for no limit."""

    name: str
    memory: bool
    size: int | None


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """A file for each key of a ConfigMap or a Secret.

    Attributes:
        name: The volume's.
        kind: `ConfigMap` or `Secret`.
        source: Name of that object.
        mode: Of the files.
    """

    name: str
    kind: str
    source: str
    mode: int


def read_volume(fields: Fields) -> EmptyDir | ConfigFiles:
    """Read one volume of a pod."""
    with fields:
        name = fields.need("name")
        if "emptyDir" in fields:
            with fields.child("emptyDir") as inner:
                size = inner.take("sizeLimit")
                memory = inner.one_of("medium", ("Memory", "")) == "Memory" if "medium" in inner else False
                return EmptyDir(name, memory, None if size is None else int(quantity(size)))
        for kind, key, source in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            if key in fields:
                with fields.child(key) as inner:
                    mode = inner.take("defaultMode", DEFAULT_MODE)
                    return ConfigFiles(name, kind, inner.need(source), mode)
    raise UnimplementedError(f"{fields.path}: no kind of volume that is implemented")


def archive(volume: ConfigFiles, data: Mapping[str, bytes], *, generation: int) -> bytes:
    """Return a volume's files as a tar archive, laid out as the kubelet does.

    The files stand in a directory of their generation, `..data_new` points to it and is to be renamed to
    `..data` by whoever unpacks this, and each file's name is a link through `..data`: all files change at the
    same moment.
    """
    directory = f"..{generation}"
    links = {"..data_new": directory, **{key: f"..data/{key}" for key in data}}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        tar.addfile(_entry(directory, tarfile.DIRTYPE, 0o755))
        for key, content in data.items():
            entry = _entry(f"{directory}/{key}", tarfile.REGTYPE, volume.mode)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        for name, target in links.items():
            link = _entry(name, tarfile.SYMTYPE, 0o777)
            link.linkname = target
            tar.addfile(link)
    return written.getvalue()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry
