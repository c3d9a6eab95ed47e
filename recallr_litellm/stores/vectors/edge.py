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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import qdrant_edge as q

from recallr_litellm.core.records import SparseVector, Vector
from recallr_litellm.errors import ConfigurationError, DataDirInUse, RecallrError, VectorsRefused, VectorsUnavailable
from recallr_litellm.stores.vectors.engine import Found, Nearest, Payload, Point, PointId, Stored, Where
from recallr_litellm.stores.vectors.schema import (
    AT,
    BEGAN,
    CHAIN,
    DENSE,
    INDEXES,
    METADATA,
    SESSION,
    SPARSE,
    SPARSE_SCAN,
    TIMES,
    Index,
)

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
                q.EdgeShard.create(str(made), _config(dimension)).close()
                made.rename(self._folder)
        except OSError as error:
            if not self._exists():  # else another process was quicker
                raise ConfigurationError(f"{self._folder} cannot be made: {error.strerror}") from error

    def _prepare(self, shard: q.EdgeShard) -> int:
        existing = shard.info().payload_schema
        for name in INDEXES.keys() - existing.keys():
            shard.update(q.UpdateOperation.create_field_index(name, _INDEX_PARAMS[INDEXES[name]]))
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
            operation = q.UpdateOperation.upsert_points([_point(point) for point in points], update_mode=mode)
            shard.update(operation)

        await self._call("write", write)

    async def delete(self, where: Where) -> None:
        operation = q.UpdateOperation.delete_points_by_filter(_filter(where))
        await self._call("delete", lambda shard: shard.update(operation))

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
            filter=_filter(where) if where else None,
            with_payload=True if fields is None else list(fields),
            with_vector=False,
            order_by=q.OrderBy(AT, direction=q.Direction.Desc) if newest_first else None,
        )
        records, following = await self._call("read", lambda shard: shard.scroll(request))
        stored = [Stored(str(record.id), record.payload or {}) for record in records]
        return stored, None if following is None else str(following)

    async def vectors(self, where: Where, limit: int) -> dict[PointId, Vector]:
        request = q.ScrollRequest(limit=limit, filter=_filter(where), with_payload=False, with_vector=[DENSE])
        records, _ = self._translated("read", lambda: self._opened.scroll(request))
        found = ((record.id, record.vector.get(DENSE)) for record in records if isinstance(record.vector, dict))
        return {id: np.array(vector, np.float32) for id, vector in found if vector is not None}

    async def query(self, queries: Sequence[Nearest]) -> list[list[Found]]:
        answers = self._translated("search", lambda: self._opened.query_batch(q.QueryBatchRequest(_requests(queries))))
        return [[Found(point.id, point.score, point.payload or {}) for point in answer] for answer in answers]

    async def remove(self, ids: Sequence[str]) -> None:
        await self._call("delete", lambda shard: shard.update(q.UpdateOperation.delete_points(list(ids))))

    async def set_fields(self, where: Where, fields: Payload, *, only: bool = False) -> None:
        kind = q.UpdateOperation
        write = kind.overwrite_payload_by_filter if only else kind.set_payload_by_filter
        operation = write(_filter(where), fields)
        await self._call("write", lambda shard: shard.update(operation))

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
        await other._call("write", lambda shard: shard.update(q.UpdateOperation.upsert_points(copies)))
        return len(copies), following

    async def count(self, where: Where | None = None) -> int:
        request = q.CountRequest(exact=True, filter=_filter(where) if where else None)
        return await self._call("count", lambda shard: shard.count(request))

    @property
    def _opened(self) -> q.EdgeShard:
        if self._shard is None:
            raise VectorsUnavailable("Qdrant Edge is not open")
        return self._shard

    async def _call(self, what: str, call: Callable[[q.EdgeShard], T]) -> T:
        shard = self._opened
        return await self._on_thread(what, lambda: call(shard))

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


def _config(dimension: int) -> q.EdgeConfig:
    return q.EdgeConfig(
        vectors={
            DENSE: q.EdgeVectorParams(
                size=dimension,
                distance=q.Distance.Cosine,
                datatype=q.VectorStorageDatatype.Float16,
                memory=q.Memory.Cold,
            )
        },
        sparse_vectors={
            SPARSE: q.EdgeSparseVectorParams(
                modifier=q.Modifier.Idf, memory=q.Memory.Cold, full_scan_threshold=SPARSE_SCAN
            )
        },
        payload_memory=q.Memory.Cold,
        # No graph: a search stays within one user's points, which are scanned in a fraction of a
        # millisecond, and building it is what makes compacting slow (minutes instead of seconds).
        hnsw_config=q.HnswIndexConfig(m=0, payload_m=0, ef_construct=100, full_scan_threshold=10_000),
        # Several segments, so that compacting appends one rather than rewriting everything.
        optimizers=q.EdgeOptimizersConfig(default_segment_number=8),
        # With two, a search takes longer: by words 1.3 ms instead of 0.9 among 200 to 1000 turns, 2.4 instead of 2.2
        # among 5000; what there is to share out is less than sharing it out costs.
        max_search_threads=1,
    )


_INDEX_PARAMS: dict[Index, q.PayloadSchemaType | q.PayloadSchemaParams] = {
    Index.TENANT: q.KeywordIndexParams(is_tenant=True, memory=q.Memory.Cold),
    Index.KEYWORD: q.KeywordIndexParams(memory=q.Memory.Cold),
    Index.TIME: q.IntegerIndexParams(lookup=False, range=True, memory=q.Memory.Cold),
    Index.FLAG: q.BoolIndexParams(memory=q.Memory.Cold),
}


def _point(point: Point) -> q.Point:
    vectors: dict[str, q.NamedVector] = {}
    if point.dense is not None:
        vectors[DENSE] = _vector(point.dense)
    if point.sparse is not None:
        vectors[SPARSE] = _vector(point.sparse)
    return q.Point(point.id, vectors, point.payload)


def _vector(vector: Vector | SparseVector) -> q.NamedVector:
    if isinstance(vector, SparseVector):
        return q.SparseVector(list(vector.indices), list(vector.values))
    return vector  # type: ignore[return-value]  # the stubs do not say that arrays are taken


def _filter(where: Where) -> q.Filter:
    must: list[q.ConditionType] = [
        q.FieldCondition(name, match=q.MatchValue(value)) for name, value in where.equal.items()
    ]
    must += [q.FieldCondition(METADATA, match=q.MatchValue(tag)) for tag in where.tags]
    if where.sessions:
        must.append(q.FieldCondition(SESSION, match=q.MatchAny(list(where.sessions))))
    if where.chains:
        must.append(q.FieldCondition(CHAIN, match=q.MatchAny(list(where.chains))))
    if where.since is not None or where.until is not None:
        must.append(q.FieldCondition(AT, range=q.RangeFloat(gte=where.since, lte=where.until)))
    if where.naming is not None:
        since, until = where.naming
        must.append(q.FieldCondition(TIMES, range=q.RangeFloat(gte=since, lte=until)))
    if where.begun_until is not None:
        must.append(q.FieldCondition(BEGAN, range=q.RangeFloat(lte=where.begun_until)))
    must_not: list[q.ConditionType] = [
        q.FieldCondition(name, match=q.MatchAny(values)) for name, values in where.none_of.items()
    ]
    must_not += [q.IsEmptyCondition(name) for name in where.having]
    must += [q.IsEmptyCondition(name) for name in where.lacking]
    if where.ids is not None:
        must.append(q.HasIdCondition(set(where.ids)))
    if where.exclude_ids:
        must_not.append(q.HasIdCondition(set(where.exclude_ids)))
    return q.Filter(must=must, must_not=must_not)


def _requests(queries: Sequence[Nearest]) -> list[q.QueryRequest]:
    # What stands in several queries is converted once, which takes longer than all the rest.
    vectors = {id(query.vector): query.vector for query in queries}
    nearest = {key: _nearest(vector) for key, vector in vectors.items()}
    wheres = {id(where): where for query in queries for where in (query.where, query.corpus) if where}
    filters = {key: _filter(where) for key, where in wheres.items()}
    return [
        q.QueryRequest(
            limit=query.limit,
            query=nearest[id(query.vector)],
            filter=filters[id(query.where)],
            params=q.SearchParams(idf=q.IdfParams(corpus=filters[id(query.corpus)])) if query.corpus else None,
            with_payload=list(query.fields) if query.fields else False,
            with_vector=False,
        )
        for query in queries
    ]


def _nearest(vector: Vector | SparseVector) -> q.Query:
    return q.Query.Nearest(_vector(vector), using=SPARSE if isinstance(vector, SparseVector) else DENSE)
