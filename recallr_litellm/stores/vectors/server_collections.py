"""The collections on a Qdrant server, and an alias that leads to the current one."""

from __future__ import annotations

from collections.abc import Callable

from qdrant_client import AsyncQdrantClient, models

from recallr_litellm.stores.vectors.collections import belongs, pointer_name
from recallr_litellm.stores.vectors.server import ServerEngine, aliased, translated


class ServerCollections:
    """See `Collections`.

    The alias only tells which collection is the current one: collections are read and written by their own names, since
    the vector of a question that is under way fits one of them and not the other.
    """

    def __init__(self, connect: Callable[[], AsyncQdrantClient], base: str) -> None:
        """
        Args:
            connect: makes a client.
            base: name of the first collection.
        """
        self._connect = connect
        self._base = base
        self._alias = pointer_name(base)
        self._connected: AsyncQdrantClient | None = None
        self._engines: dict[str | None, ServerEngine] = {}

    @property
    def _client(self) -> AsyncQdrantClient:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    async def current(self) -> str:
        async with translated("tell which collection is the current one"):
            return await aliased(self._client, self._alias) or self._base

    async def all(self) -> list[str]:
        async with translated("list its collections"):
            found = (await self._client.get_collections()).collections
        return sorted(one.name for one in found if belongs(one.name, self._base))

    def engine(self, name: str | None = None) -> ServerEngine:
        if name not in self._engines:
            alias = self._alias if name is None else None
            self._engines[name] = ServerEngine(self._connect, name or self._base, alias=alias)
        return self._engines[name]

    async def require_room(self, name: str, growth: float) -> None:
        """Nothing: a server does not tell."""

    async def switch(self, name: str) -> None:
        changes: list[models.AliasOperations] = []
        async with translated("switch to the new collection"):
            if await aliased(self._client, self._alias) is not None:
                changes.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self._alias)))
            made = models.CreateAlias(collection_name=name, alias_name=self._alias)
            changes.append(models.CreateAliasOperation(create_alias=made))
            await self._client.update_collection_aliases(changes)  # all of them in one step

    async def drop(self, name: str) -> None:
        engine = self._engines.pop(name, None)
        if engine is not None:
            await engine.close()
        async with translated("delete a collection"):
            await self._client.delete_collection(name)

    async def close(self) -> None:
        for engine in self._engines.values():
            await engine.close()
        client, self._connected = self._connected, None
        if client is not None:
            async with translated("close the connection"):
                await client.close()
