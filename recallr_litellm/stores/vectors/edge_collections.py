"""The embedded collections: folders side by side, and a file that names the current one."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from recallr_litellm.errors import ConfigurationError, VectorsUnavailable
from recallr_litellm.stores.vectors.collections import belongs, pointer_name
from recallr_litellm.stores.vectors.edge import EdgeEngine, is_shard

_DROPPED = ".dropped"


class EdgeCollections:
    """See `Collections`.

    Args:
        folder: of the first one; the others are beside it. To be used only under the lock of the data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._base = folder
        self._pointer = folder.with_name(pointer_name(folder.name))
        self._engines: dict[str, EdgeEngine] = {}

    async def current(self) -> str:
        return self._current()

    def _current(self) -> str:
        try:
            return self._pointer.read_text().strip()
        except FileNotFoundError:
            return self._base.name
        except OSError as error:
            raise VectorsUnavailable(f"{self._pointer} cannot be read: {error.strerror}") from error

    async def all(self) -> list[str]:
        if not self._base.parent.exists():
            return []
        return sorted(
            entry.name
            for entry in self._base.parent.iterdir()
            if belongs(entry.name, self._base.name) and is_shard(entry)
        )

    def engine(self, name: str | None = None) -> EdgeEngine:
        found = name or self._current()
        if found not in self._engines:
            # Compacting holds the interpreter's lock for seconds: only at a start, not while everything is copied.
            self._engines[found] = EdgeEngine(self._base.with_name(found), compacts=name is None)
        return self._engines[found]

    async def require_room(self, name: str, growth: float) -> None:
        folder = self._base.with_name(name)
        needed = await asyncio.to_thread(_size, folder) * growth
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise ConfigurationError(
                f"There is too little room on the disk of {folder}: about {needed / 1e6:.0f} MB are needed, "
                f"{free / 1e6:.0f} MB are free."
            )

    async def switch(self, name: str) -> None:
        await asyncio.to_thread(self._switch, name)

    def _switch(self, name: str) -> None:
        aside = self._pointer.with_name(f"{self._pointer.name}.new")
        try:
            with aside.open("w") as file:
                file.write(f"{name}\n")
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._pointer)
            directory = os.open(self._pointer.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise VectorsUnavailable(f"{self._pointer} cannot be written: {error.strerror}") from error

    async def drop(self, name: str) -> None:
        engine = self._engines.pop(name, None)
        if engine is not None:
            await engine.close()
        await asyncio.to_thread(self._delete, self._base.with_name(name))

    def _delete(self, folder: Path) -> None:
        # Out of the way first: what is left of a folder whose deletion was cut off must not pass for a collection.
        aside = folder.with_name(f"{folder.name}{_DROPPED}")
        try:
            if aside.exists():
                shutil.rmtree(aside)
            if folder.exists():
                folder.rename(aside)
                shutil.rmtree(aside)
        except OSError as error:
            raise VectorsUnavailable(f"{folder} cannot be deleted: {error.strerror}") from error

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.close()


def _size(folder: Path) -> int:
    """Bytes on the disk, which are fewer than the lengths of the files: they have holes."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
