"""Part of the state store: that projects and API keys have changed, and when a key was last used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller


class ProjectChanges(RedisCaller):
    """What the workers tell each other of projects and keys. The record of these is Qdrant's: all here may be lost."""

    async def projects_version(self) -> str:
        """Another one after each change of projects or keys."""
        async with self._reaching():
            return str(await self._client.get(keys.projects_version()) or "")

    async def projects_changed(self) -> None:
        """Tell all workers to read projects and keys again."""
        async with self._reaching():
            await self._client.incr(keys.projects_version())

    async def keys_used(self, ids: Iterable[str], at: int) -> None:
        """Note that these keys were used, at least one, at this time: milliseconds since the epoch."""
        async with self._reaching():
            await self._client.hset(keys.keys_used(), mapping=dict.fromkeys(ids, at))

    async def last_uses(self) -> dict[str, int]:
        """Key id → when it was last used; keys that were not used since Redis was emptied are left out."""
        async with self._reaching():
            found: Any = await self._client.hgetall(keys.keys_used())
            return {id: int(at) for id, at in found.items()}
