"""The opened collection of the vector store, and how its points are reached."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from recallr_litellm.core.owner import Tenant
from recallr_litellm.errors import ConfigurationError, VectorsUnavailable
from recallr_litellm.stores.embedding import Embedder
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.collections import Collections, all_of, open_collection
from recallr_litellm.stores.vectors.engine import Payload, Stored, Where, WholeEngine, scope
from recallr_litellm.stores.vectors.points import Description
from recallr_litellm.stores.vectors.schema import Kind

_READ_PAGE = 256
"""Records read in one call."""


class OpenedCollection:
    """Opening, closing and probing, and the reads and deletions that all parts of the store share."""

    def __init__(self, collections: Collections, model: Embedder) -> None:
        """
        Args:
            collections: of which it opens one, that of the model. Closed with the store.
            model: the configured one.
        """
        self._collections = collections
        self._collection = ""
        self._opened: WholeEngine | None = None
        self._opening = asyncio.Lock()
        self._model = model
        self._refusal: ConfigurationError | None = None

    async def open(self) -> None:
        """Open the collection of the embedding model, once; make it where nothing is stored yet.

        After `Unavailable` it may be called again. After a `ConfigurationError` the store is closed for good.

        Raises:
            ConfigurationError: the collection cannot be used: it has vectors of another model, say.
            EmbeddingUnavailable: the model does not know its dimension yet.
        """
        async with self._opening:  # probes of reading and of writing may come at once
            if self._opened is not None:
                return
            if self._refusal is not None:
                raise self._refusal
            try:
                wanted = Description(self._model.name, self._model.dimension)
                self._collection, self._opened = await open_collection(self._collections, wanted)
            except ConfigurationError as error:
                self._refusal = error
                await self._collections.close()
                raise

    async def suspend(self) -> None:
        """Let go of what belongs to the running event loop. The store stays usable, also on another loop."""
        await self._collections.suspend()

    @property
    def collection(self) -> str:
        """Name of the collection; known once the store was opened."""
        return self._collection

    async def close(self) -> None:
        """Make everything durable and let go of it."""
        self._opened = None
        await self._collections.close()

    async def flush(self) -> None:
        """Make what was written survive a power cut too; a killed process loses nothing either way.

        Embedded only: tens of milliseconds during which the event loop stands still.
        """
        await self._engine.flush()

    async def ping(self) -> None:
        """Return when Qdrant answers and holds our collection. One that is gone is made anew by the next `open`."""
        if not await self._engine.read([points.META_ID]):
            self._opened = None
            raise VectorsUnavailable("The Qdrant collection is gone")

    async def probe_write(self) -> None:
        """Return if Qdrant takes writes. Changes nothing."""
        await self._engine.upsert(
            [points.meta_point(Description(self._model.name, self._model.dimension))], keep_existing=True
        )

    @property
    def _engine(self) -> WholeEngine:
        if self._opened is None:
            raise VectorsUnavailable("The vector store is not open")
        return self._opened

    async def _delete(self, where: Where) -> None:
        """Delete the points from every collection of the store: a reindex would bring back what is left in one."""
        await self._engine.delete(where)
        for other in await all_of(self._collections, but=self._collection):
            await self._collections.engine(other.name).delete(where)

    async def _get(self, owner: Tenant, kind: Kind, *natural_key: str) -> Payload | None:
        id = points.point_id(owner, kind, *natural_key)
        payload = (await self._engine.read([id])).get(id)
        # One scope or a list of them: all scopes of a kind are of one length, so none is within another.
        return payload if payload and scope(owner, kind) in payload[schema.SCOPE] else None

    async def _newest(self, where: Where, n: int, fields: Sequence[str]) -> list[Payload]:
        """At least the newest `n` points, in any order."""
        return (await self._newest_after(where, 0, n, fields))[0]

    async def _newest_after(
        self, where: Where, offset: int, n: int, fields: Sequence[str]
    ) -> tuple[list[Payload], int]:
        """At least the newest `n` points after the newest `offset`, in any order; and how many of the newest of them
        are to be left out.

        Messages that arrive together bear the same time, and Qdrant orders by time alone: asked
        for n, it may cut through an instant anywhere. So it is only asked where the first and the last lie.
        """
        newest, _ = await self._engine.scroll(where, offset + n, fields=[schema.AT], newest_first=True)
        times = sorted((point.payload[schema.AT] for point in newest), reverse=True)
        if len(times) <= offset:
            return [], 0
        first = times[offset]
        wanted = replace(where, since=times[-1], until=first if offset else None)
        return await self._all(wanted, fields), offset - times.index(first)

    async def _newest_ids(self, where: Where, n: int) -> list[str]:
        """The newest `n` points by `where.time`, and of the same instant by their ids: the first of them whatever `n`
        is."""
        found: dict[str, int] = {}
        while (wanted := min(n - len(found), _READ_PAGE)) > 0:
            newest, _ = await self._engine.scroll(where, wanted, fields=[where.time], newest_first=True)
            found |= {point.id: point.payload[where.time] for point in newest}
            if len(newest) < wanted:
                break
            last = min(point.payload[where.time] for point in newest)  # maybe cut through an instant, see `_newest`
            same = await self._all_points(replace(where, since=last, until=last), [])
            found |= {point.id: last for point in same}
            where = replace(where, until=last - 1)
        return sorted(found, key=lambda id: (-found[id], id))[:n]

    async def _all(self, where: Where, fields: Sequence[str]) -> list[Payload]:
        return [point.payload for point in await self._all_points(where, fields)]

    async def _all_points(self, where: Where, fields: Sequence[str]) -> list[Stored]:
        found, after = await self._engine.scroll(where, _READ_PAGE, fields=fields)
        while after is not None:
            page, after = await self._engine.scroll(where, _READ_PAGE, fields=fields, after=after)
            found += page
        return found
