"""A pod's volumes in the container engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.deploy.engine import EngineError, unique
from tests.support.deploy.pods.volumes_spec import ConfigFiles, EmptyDir, archive

if TYPE_CHECKING:
    from tests.support.deploy.engine import Container, Engine
    from tests.support.deploy.pods.containers_spec import ContainerSpec
    from tests.support.deploy.pods.objects import Objects
    from tests.support.deploy.pods.spec import PodSpec

ROOT = "/volumes"
"""Where the pod's holder has all of them, so that those in memory outlast each single container."""


class Volumes:
    """The volumes of one pod.

    What stands in memory (`medium: Memory`, Secrets) is a tmpfs of its size. On disk the engine enforces no
    size: `over_limit` measures, as the kubelet does before it evicts.
    """

    def __init__(self, engine: Engine, pod: PodSpec, objects: Objects) -> None:
        """Name them; nothing is made here."""
        self._engine = engine
        self._pod = pod
        self._objects = objects
        self._names = {volume.name: unique(f"volume-{volume.name}") for volume in pod.volumes}
        self._generation = 0

    def create(self) -> tuple[str, ...]:
        """Make them, and return the engine's options that mount all of them in the holder."""
        for volume in self._pod.volumes:
            options: tuple[str, ...] = ()
            if (isinstance(volume, EmptyDir) and volume.memory) or getattr(volume, "kind", "") == "Secret":
                size = volume.size if isinstance(volume, EmptyDir) else None
                limit = "" if size is None else f",size={size}"
                options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", f"o=mode=0777{limit}")
            self._engine.run("volume", "create", "--driver", "local", *options, self._names[volume.name])
        mounts = [self._mount(name, f"{ROOT}/{name}", read_only=False) for name in self._names]
        return tuple(part for mount in mounts for part in ("--mount", mount))

    def fill(self, holder: Container) -> None:
        """Let all containers write to them, as the kubelet does, and write ConfigMaps and Secrets."""
        if self._names:
            places = [f"{ROOT}/{name}" for name in self._names]
            holder.execute("chmod", "0777", *places, options=("--user", "0"))
        self.write(holder)

    def write(self, holder: Container) -> None:
        """Write the files of ConfigMaps and Secrets as these are now; containers see all of it at once."""
        self._generation += 1
        for volume in self._pod.volumes:
            if not isinstance(volume, ConfigFiles):
                continue
            data = self._objects.data(volume.kind, volume.source)
            unpack = f"cd {ROOT}/{volume.name} && tar -xp --numeric-owner && mv -T ..data_new ..data"
            done = subprocess.run(
                ["docker", "exec", "--interactive", "--user", "0", holder.name, "sh", "-c", unpack],
                input=archive(volume, data, generation=self._generation),
                capture_output=True,
                check=False,
            )
            if done.returncode != 0:
                raise EngineError(f"volume {volume.name} cannot be written: {done.stderr.decode()}")

    def options(self, container: ContainerSpec) -> tuple[str, ...]:
        """Return the engine's options that mount what a container wants."""
        # The kubelet mounts ConfigMaps and Secrets read-only, whatever the mount says.
        files = {volume.name for volume in self._pod.volumes if isinstance(volume, ConfigFiles)}
        mounts = [
            self._mount(mount.volume, mount.path, read_only=mount.read_only or mount.volume in files)
            for mount in container.mounts
        ]
        return tuple(part for mount in mounts for part in ("--mount", mount))

    def over_limit(self, holder: Container) -> list[str]:
        """Return the volumes that hold more than their size, for which the kubelet evicts a pod."""
        limits = {v.name: v.size for v in self._pod.volumes if isinstance(v, EmptyDir) and v.size is not None}
        if not limits:
            return []
        places = [f"{ROOT}/{name}" for name in limits]
        measured = holder.execute("du", "--summarize", "--block-size=1", *places, options=("--user", "0"))
        used = [int(line.split()[0]) for line in measured.splitlines()]
        # An empty directory of a disk takes a block of it.
        return [
            f"{name}: {size} bytes of {limit}"
            for (name, limit), size in zip(limits.items(), used, strict=True)
            if size > limit
        ]

    def remove(self) -> None:
        """Remove them, after the last container that had them."""
        if self._names:
            self._engine.try_run("volume", "rm", "--force", *self._names.values())

    def _mount(self, name: str, path: str, *, read_only: bool) -> str:
        mode = ",readonly" if read_only else ""
        return f"type=volume,source={self._names[name]},destination={path},volume-nocopy{mode}"
