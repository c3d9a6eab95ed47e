"""The collections on a Qdrant server; an alias points to the current one."""

from __future__ import annotations

from collections.abc import Callable

from qdrant_client import AsyncQdrantClient, models

from recallr_litellm.stores.vectors import points
from recallr_litellm.stores.vectors.collections import may_be_ours, pointer_name
from recallr_litellm.stores.vectors.points import Description
from recallr_litellm.stores.vectors.server import ServerEngine, require_supported, translated


class ServerCollections:
    """See `Collections`.

    Collections are read and written by their own names, not by the alias: the vector of a question under way fits one
    of them and not the other.
    """

    def __init__(self, connect: Callable[[], AsyncQdrantClient], base: str) -> None:
        """
        Args:
            connect: makes a client; again after `suspend` and `close`, since connections belong to one event loop.
            base: what the names begin with.

        Raises:
            ConfigurationError: what `connect` raises, where the URL is wrong.
        """
        self.base = base
        self._connect = connect
        self._alias = pointer_name(base)
        self._connected: AsyncQdrantClient | None = connect()
        self._supported = False
        self._engines: dict[str, ServerEngine] = {}

    def _client(self) -> AsyncQdrantClient:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    async def _checked(self) -> AsyncQdrantClient:
        """The client, once the server has said that its version will do."""
        if not self._supported:
            require_supported((await self._client().info()).version)
            self._supported = True
        return self._client()

    async def names(self) -> list[str]:
        async with translated("list its collections"):
            found = (await (await self._checked()).get_collections()).collections
        return [one.name for one in found if may_be_ours(one.name, self.base)]

    async def pointer(self) -> str | None:
        async with translated("list its aliases"):
            found = (await (await self._checked()).get_aliases()).aliases
        return {one.alias_name: one.collection_name for one in found}.get(self._alias)

    async def point_to(self, name: str) -> None:
        changes: list[models.AliasOperations] = []
        if await self.pointer() is not None:
            changes.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=self._alias)))
        made = models.CreateAlias(collection_name=name, alias_name=self._alias)
        changes.append(models.CreateAliasOperation(create_alias=made))
        async with translated("point to the new collection"):
            await self._client().update_collection_aliases(changes)  # all of them in one step

    async def describe(self, name: str) -> Description | None:
        async with translated("describe a collection"):
            if not await self._client().collection_exists(name):
                return None
            found = await self._client().retrieve(name, [points.META_ID], with_payload=True)
        return points.description_of(found[0].payload) if found and found[0].payload else None

    def engine(self, name: str) -> ServerEngine:
        return self._engines.setdefault(name, ServerEngine(self._client, name))

    async def drop(self, name: str) -> None:
        async with translated("delete a collection"):
            await self._client().delete_collection(name)

    async def suspend(self) -> None:
        await self.close()

    async def close(self) -> None:
        client, self._connected = self._connected, None
        if client is not None:
            async with translated("close the connection"):
                await client.close()
