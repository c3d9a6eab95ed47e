"""Qdrant Edge: Qdrant's own engine, embedded in this process, on a folder.

It holds the interpreter's lock during most calls (measured in 0.9.0: all but `retrieve`), so calls
are kept small: a search takes 1–3 ms, a batch of writes about as much. Searches are made right on the
event loop: on a thread they would hold it just as long, and come back half a millisecond later. All
else runs on threads, so that a later release that lets go of the lock does not hold the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import qdrant_edge as q

from recallr_litellm.core.records import Vector
from recallr_litellm.errors import ConfigurationError, DataDirInUse, RecallrError, VectorsRefused, VectorsUnavailable
from recallr_litellm.stores.vectors.edge_terms import INDEX_PARAMS, KEPT, filter_of, point_of, requests_of, shard_config
from recallr_litellm.stores.vectors.engine import Found, KeptPayload, Nearest, Payload, Point, PointId, Stored, Where
from recallr_litellm.stores.vectors.kept_payloads import KeptPayloads
from recallr_litellm.stores.vectors.schema import DENSE, INDEXES
from recallr_litellm.tasks import give_way

_THREADS = 2
_COPY_PAGE = 256
_CONFIG_FILE = "edge_config.json"
"""Where Qdrant Edge keeps a shard's configuration; there exactly when the shard is."""

_OUTAGES = ("Service runtime error", "Inconsistent storage error", "Out of memory", "Operation ", "Can't init WAL")
"""How errors begin that concern everybody (a full disk, a damaged folder); all others concern one point or query."""

T = TypeVar("T")


def is_shard(folder: Path) -> bool:
    """Whether the folder is one that Qdrant Edge keeps points in."""
    return (folder / _CONFIG_FILE).exists()


class EdgeEngine:
    """The embedded engine. One process per folder, enforced by a lock of Qdrant's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shard: q.EdgeShard | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._kept = KeptPayloads()

    async def open(self, dimension: int) -> int:
        """See `Engine.open`.

        Raises:
            DataDirInUse: another process has the folder open.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="recallr-qdrant")
        if self._shard is None:
            self._shard = await self._on_thread("open its folder", lambda: self._load(dimension))
        return await self._call("prepare its folder", self._prepare)

    def _load(self, dimension: int) -> q.EdgeShard:
        if not self._exists():
            self._create(dimension)
        try:
            return q.EdgeShard.load(str(self._folder))
        except Exception as error:
            if "WouldBlock" in str(error):
                raise DataDirInUse(
                    f"{self._folder} is in use by another process. The embedded stores serve one proxy worker; to run "
                    "several, set RECALLR_REDIS_URL and RECALLR_QDRANT_URL."
                ) from error
            raise

    def _exists(self) -> bool:
        return is_shard(self._folder)

    def _create(self, dimension: int) -> None:
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            # Made aside and moved into place, so that a process that dies here leaves no half of a shard.
            with tempfile.TemporaryDirectory(prefix=f"{self._folder.name}-", dir=self._folder.parent) as aside:
                made = Path(aside) / "shard"
                made.mkdir(mode=0o700)
                q.EdgeShard.create(str(made), shard_config(dimension)).close()
                made.rename(self._folder)
        except OSError as error:
            if not self._exists():  # else another process was quicker
                raise ConfigurationError(f"{self._folder} cannot be made: {error.strerror}") from error

    def _prepare(self, shard: q.EdgeShard) -> int:
        existing = shard.info().payload_schema
        for name in INDEXES.keys() - existing.keys():
            shard.update(q.UpdateOperation.create_field_index(name, INDEX_PARAMS[INDEXES[name]]))
        config = json.loads((self._folder / _CONFIG_FILE).read_text())
        return int(config["vectors"][DENSE]["size"])

    def _compact(self, shard: q.EdgeShard) -> None:
        # Turns what was appended into segments that live on disk, and drops what was deleted: at
        # 100,000 passages 10 MB of memory of its own instead of 130. Only here, since it holds the lock.
        if shard.optimize():
            # Opened anew, it lets go of what compacting went through: at 100,000 turns 430 MB of resident memory.
            self._shard = None
            shard.close()
            self._shard = q.EdgeShard.load(str(self._folder))
        _give_back_freed_memory()
        threading.Thread(target=_read_ahead, args=(self._folder,), name="recallr-read-ahead", daemon=True).start()

    async def compact(self) -> None:
        """Holds the interpreter's lock: 1 s for 14,000 new points, more than in proportion for
        more (52 s for 100,000, measured on a busy machine)."""
        await self._call("compact its folder", self._compact)

    async def close(self) -> None:
        shard, self._shard = self._shard, None
        threads, self._threads = self._threads, None

        def close() -> None:
            if threads is not None:
                threads.shutdown()
            if shard is not None:
                shard.flush()
                with self._kept.changing():  # by whoever opens the folder next
                    shard.close()

        try:
            await asyncio.to_thread(close)
        except Exception as error:
            raise VectorsUnavailable("Qdrant Edge could not close its folder") from error

    async def flush(self) -> None:
        await self._call("flush", lambda shard: shard.flush())

    async def upsert(self, points: Sequence[Point], *, keep_existing: bool = False) -> None:
        mode = q.UpdateMode.InsertOnly if keep_existing else q.UpdateMode.Upsert

        def write(shard: q.EdgeShard) -> None:
            operation = q.UpdateOperation.upsert_points([point_of(point) for point in points], update_mode=mode)
            with self._kept.changing([UUID(point.id) for point in points]):
                shard.update(operation)

        await self._call("write", write)

    async def delete(self, where: Where) -> None:
        await self._change("delete", q.UpdateOperation.delete_points_by_filter(filter_of(where)))

    async def read(self, ids: Sequence[str]) -> dict[str, Payload]:
        records = await self._call("read", lambda shard: shard.retrieve(list(ids), True, False))
        return {str(record.id): record.payload or {} for record in records}

    async def scroll(
        self,
        where: Where | None,
        limit: int,
        *,
        fields: Sequence[str] | None = None,
        after: str | None = None,
        newest_first: bool = False,
    ) -> tuple[list[Stored], str | None]:
        request = q.ScrollRequest(
            offset=after,
            limit=limit,
            filter=filter_of(where) if where else None,
            with_payload=True if fields is None else list(fields),
            with_vector=False,
            order_by=q.OrderBy(where.time, direction=q.Direction.Desc) if where and newest_first else None,
        )
        records, following = await self._call("read", lambda shard: shard.scroll(request))
        stored = [Stored(str(record.id), record.payload or {}) for record in records]
        return stored, None if following is None else str(following)

    async def vectors(self, where: Where, limit: int) -> dict[PointId, Vector]:
        request = q.ScrollRequest(limit=limit, filter=filter_of(where), with_payload=False, with_vector=[DENSE])
        records, _ = self._translated("read", lambda: self._opened.scroll(request))
        found = ((record.id, record.vector.get(DENSE)) for record in records if isinstance(record.vector, dict))
        return {id: np.array(vector, np.float32) for id, vector in found if vector is not None}

    async def query(self, queries: Sequence[Nearest]) -> list[list[Found]]:
        await give_way()
        return self._translated("search", lambda: self._query(self._opened, queries))

    def _query(self, shard: q.EdgeShard, queries: Sequence[Nearest]) -> list[list[Found]]:
        answers: Any = shard.query_batch(q.QueryBatchRequest(requests_of(queries)))
        get, missing = self._kept.get, _Missing()
        found = [
            [Found(id := point.id, point.score, get(id) or missing[id]) for point in answer]
            if query.fields and KEPT.issuperset(query.fields)
            else [Found(point.id, point.score, point.payload or {}) for point in answer]
            for query, answer in zip(queries, answers, strict=True)
        ]
        if missing:
            changes = self._kept.changes
            records: Any = shard.retrieve(list(missing), list(KEPT), False)
            for record in records:
                missing[record.id].update(record.payload or {})
            read = {id: payload for id, payload in missing.items() if payload}
            self._kept.keep(read, as_of=changes)
            if len(read) < len(missing):  # deleted since the query
                gone = missing.keys() - read.keys()
                return [[one for one in answer if one.id not in gone] for answer in found]
        return found

    async def remove(self, ids: Sequence[str]) -> None:
        await self._change("delete", q.UpdateOperation.delete_points(list(ids)))

    async def set_fields(self, where: Where, fields: Payload, *, only: bool = False) -> None:
        kind = q.UpdateOperation
        write = kind.overwrite_payload_by_filter if only else kind.set_payload_by_filter
        await self._change("write", write(filter_of(where), fields), where.ids)

    async def copy_into(self, other: EdgeEngine) -> int:
        """Write all points, vectors and all, to an engine that is open too. Returns how many there are."""
        copied, after = await self._copy_page(other, None)
        count = copied
        while after is not None:
            copied, after = await self._copy_page(other, after)
            count += copied
        return count

    async def _copy_page(self, other: EdgeEngine, after: PointId | None) -> tuple[int, PointId | None]:
        request = q.ScrollRequest(offset=after, limit=_COPY_PAGE, with_payload=True, with_vector=True)
        records, following = await self._call("read", lambda shard: shard.scroll(request))
        copies = [q.Point(one.id, one.vector or {}, one.payload or {}) for one in records]
        await other._change("write", q.UpdateOperation.upsert_points(copies))
        return len(copies), following

    async def count(self, where: Where | None = None, *, roughly: bool = False) -> int:
        request = q.CountRequest(exact=not roughly, filter=filter_of(where) if where else None)
        return await self._call("count", lambda shard: shard.count(request))

    async def values(self, where: Where, field: str, limit: int) -> dict[str, int]:
        request = q.FacetRequest(field, limit=limit, filter=filter_of(where))
        found = await self._call("count", lambda shard: shard.facet(request))
        return {str(hit.value): hit.count for hit in found.hits}

    @property
    def _opened(self) -> q.EdgeShard:
        if self._shard is None:
            raise VectorsUnavailable("Qdrant Edge is not open")
        return self._shard

    async def _call(self, what: str, call: Callable[[q.EdgeShard], T]) -> T:
        await give_way()
        shard = self._opened
        return await self._on_thread(what, lambda: call(shard))

    async def _change(self, what: str, operation: q.UpdateOperation, ids: Collection[PointId] | None = None) -> None:
        """Args:
        ids: of the points, where they are known one by one.
        """

        def change(shard: q.EdgeShard) -> None:
            with self._kept.changing(None if ids is None else [UUID(str(id)) for id in ids]):
                shard.update(operation)

        await self._call(what, change)

    async def _on_thread(self, what: str, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: self._translated(what, call))

    @staticmethod
    def _translated(what: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except RecallrError:
            raise
        except (TypeError, ValueError) as error:  # the binding cannot convert an argument
            raise VectorsRefused(f"Qdrant Edge could not {what}") from error
        except Exception as error:  # the binding raises nothing more specific
            kind = VectorsUnavailable if str(error).startswith(_OUTAGES) else VectorsRefused
            raise kind(f"Qdrant Edge could not {what}") from error


def _give_back_freed_memory() -> None:
    """To the system: glibc keeps it otherwise. Other C libraries have no such call, and no need of it."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _read_ahead(folder: Path) -> None:
    """Have the system read the files into its cache, as far as memory is free.

    Loading starts with none of them there, and then each user's first question reads page by page what
    it touches: a hundred reads, which at a million turns is most of the time it takes.
    """
    left = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    buffer = bytearray(1 << 20)
    for file in sorted(folder.glob("segments/**/*.*"), key=lambda file: "payload_storage" in file.parts):
        with contextlib.suppress(OSError), file.open("rb", buffering=0) as opened:  # a segment may be gone by now
            while left > 0 and (read := opened.readinto(buffer)):
                left -= read


class _Missing(dict[UUID, KeptPayload]):
    """Payloads yet to be read."""

    def __missing__(self, id: UUID) -> KeptPayload:
        payload = self[id] = KeptPayload()
        return payload
