"""The embedded collections: folders side by side, and a file that names the current one."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from recallr_litellm.errors import VectorsUnavailable
from recallr_litellm.stores.vectors import points
from recallr_litellm.stores.vectors.collections import may_be_ours, pointer_name
from recallr_litellm.stores.vectors.edge import EdgeEngine, is_shard
from recallr_litellm.stores.vectors.points import Description

_DROPPED = ".dropped"
_UNFINISHED = ".unfinished"
"""A copy that is being made."""
_REWRITTEN = ".rewritten"
"""A copy that is to take the place of its original."""


class EdgeCollections:
    """See `Collections`.

    Args:
        folder: what the folders' paths begin with: `data/qdrant` for `data/qdrant-<model>`. To be used only under the
            lock of the data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pointer = folder.with_name(pointer_name(folder.name))
        self._engines: dict[str, EdgeEngine] = {}

    @property
    def base(self) -> str:
        return self._folder.name

    async def names(self) -> list[str]:
        if not self._folder.parent.is_dir():
            return []
        for copy in self._folder.parent.glob(f"{self.base}*{_REWRITTEN}"):
            await asyncio.to_thread(self._put_in_place, copy.with_name(copy.name.removesuffix(_REWRITTEN)))
        return [
            entry.name
            for entry in self._folder.parent.iterdir()
            if may_be_ours(entry.name, self.base)
            and not entry.name.endswith((_DROPPED, _UNFINISHED, _REWRITTEN))
            and is_shard(entry)
        ]

    async def pointer(self) -> str | None:
        try:
            return self._pointer.read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise VectorsUnavailable(f"{self._pointer} cannot be read: {error.strerror}") from error

    async def describe(self, name: str) -> Description | None:
        if not is_shard(self._folder.with_name(name)):
            return None
        engine = self.engine(name)
        await engine.open(0)  # it is there: none of no dimensions is made
        found = await engine.read([points.META_ID])
        return points.description_of(found[points.META_ID]) if found else None

    def engine(self, name: str) -> EdgeEngine:
        if name not in self._engines:
            self._engines[name] = EdgeEngine(self._folder.with_name(name))
        return self._engines[name]

    async def point_to(self, name: str) -> None:
        await asyncio.to_thread(self._point_to, name)

    def _point_to(self, name: str) -> None:
        aside = self._pointer.with_name(f"{self._pointer.name}.new")
        try:
            with aside.open("w") as file:
                file.write(f"{name}\n")
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._pointer)
        except OSError as error:
            raise VectorsUnavailable(f"{self._pointer} cannot be written: {error.strerror}") from error

    async def drop(self, name: str) -> None:
        engine = self._engines.pop(name, None)
        if engine is not None:
            await engine.close()
        await asyncio.to_thread(self._delete, self._folder.with_name(name))

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

    async def rewrite(self, name: str) -> int:
        """Put a copy in the place of a collection that is not open. Returns how many points it holds.

        A deleted point is only marked: its texts stay in the write-ahead log and in the files of its segment, and
        `EdgeShard.optimize` leaves them there (measured in qdrant-edge-py 0.9.0). A copy has nothing of them.
        Killed anywhere, this leaves either of the two, whole.
        """
        folder = self._folder.with_name(name)
        aside = folder.with_name(f"{name}{_UNFINISHED}")
        await asyncio.to_thread(shutil.rmtree, aside, ignore_errors=True)
        original, copy = EdgeEngine(folder), EdgeEngine(aside)
        try:
            await copy.open(await original.open(0))
            count = await original.copy_into(copy)
        finally:
            await original.close()
            await copy.close()
        await asyncio.to_thread(self._replace, folder, aside)
        return count

    def _replace(self, folder: Path, copy: Path) -> None:
        try:
            copy = copy.rename(folder.with_name(f"{folder.name}{_REWRITTEN}"))
            self._delete(folder)
            self._put_in_place(folder)
        except OSError as error:
            raise VectorsUnavailable(f"{copy} cannot take the place of {folder}: {error.strerror}") from error

    @staticmethod
    def _put_in_place(folder: Path) -> None:
        """Have the copy of a collection take its place, or delete it where the original is still there."""
        copy = folder.with_name(f"{folder.name}{_REWRITTEN}")
        if is_shard(folder):
            shutil.rmtree(copy)
        else:
            copy.rename(folder)

    async def suspend(self) -> None:
        """Nothing to do: the folders belong to the process, not to a loop."""

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.close()
