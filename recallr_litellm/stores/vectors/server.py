"""Qdrant as a server, or a cluster of them."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.common.version_check import parse_version
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from recallr_litellm.core.records import SparseVector, Vector
from recallr_litellm.errors import ConfigurationError, VectorsRefused, VectorsUnavailable
from recallr_litellm.stores.vectors.engine import Found, Nearest, Payload, Point, PointId, Stored, Where
from recallr_litellm.stores.vectors.schema import (
    BEGAN,
    DENSE,
    INDEXES,
    METADATA,
    NAMED,
    SPARSE,
    SPARSE_SCAN,
    TIMES,
    Index,
)
from recallr_litellm.tasks import give_way

_TIMEOUT_SECONDS = 10
"""For one call. Requests have deadlines of their own, much shorter; this one is for the writes."""
_OLDEST = (1, 19)
"""The first release with an IDF per tenant; an older one would silently count terms of all users."""
_CONFLICT = 409
_REFUSALS = frozenset({400, _CONFLICT, 413, 422})
"""Statuses that concern one call. All others concern everybody: a wrong key (401, 403), a missing collection (404), too
many requests (429), failures of the server (5xx)."""


def connect(url: str, api_key: SecretStr | None) -> AsyncQdrantClient:
    """A client for a Qdrant server. Does not reach for it yet."""
    with warnings.catch_warnings():
        # Within one's own network that is a choice, and not to be told on every start.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return AsyncQdrantClient(
            url=url,
            api_key=api_key.get_secret_value() if api_key else None,
            prefer_grpc=False,
            timeout=_TIMEOUT_SECONDS,
            check_compatibility=False,
        )


class ServerEngine:
    """A collection of a Qdrant server, shared by any number of workers.

    Args:
        client: gives the client, which is not closed from here.
        collection: its name.
    """

    def __init__(self, client: Callable[[], AsyncQdrantClient], collection: str) -> None:
        self._connection = client
        self._collection = collection

    @property
    def _client(self) -> AsyncQdrantClient:
        return self._connection()

    async def open(self, dimension: int) -> int:
        """Any number of workers may do it at the same time.

        Raises:
            ConfigurationError: the collection is not one of ours.
        """
        async with translated("open the collection"):
            if not await self._client.collection_exists(self._collection):
                await self._create(dimension)
            info = await self._client.get_collection(self._collection)
            size = self._require_ours(info)
            for name in INDEXES.keys() - info.payload_schema.keys():
                await self._client.create_payload_index(self._collection, name, _INDEX_PARAMS[INDEXES[name]])
        return size

    def _require_ours(self, info: models.CollectionInfo) -> int:
        vectors = info.config.params.vectors
        if not isinstance(vectors, dict) or DENSE not in vectors:
            raise ConfigurationError(
                f"The Qdrant collection {self._collection!r} was not made by recallr-litellm; name another one with "
                "RECALLR_COLLECTION."
            )
        return vectors[DENSE].size

    async def _create(self, dimension: int) -> None:
        try:
            await self._client.create_collection(
                self._collection,
                vectors_config={
                    DENSE: models.VectorParams(
                        size=dimension,
                        distance=models.Distance.COSINE,
                        datatype=models.Datatype.FLOAT16,
                        memory=models.Memory.COLD,
                    )
                },
                sparse_vectors_config={
                    SPARSE: models.SparseVectorParams(
                        modifier=models.Modifier.IDF, index=models.SparseIndexParams(full_scan_threshold=SPARSE_SCAN)
                    )
                },
                on_disk_payload=True,
                # A graph per user instead of one over all: no search ever leaves its user.
                hnsw_config=models.HnswConfigDiff(m=0, payload_m=16),
            )
        except UnexpectedResponse as error:
            if error.status_code != _CONFLICT:  # another worker was quicker
                raise

    async def compact(self) -> None:
        """Nothing to do: the server does it by itself."""

    async def close(self) -> None:
        """Nothing to do: the client is not its own."""

    async def flush(self) -> None:
        """Nothing to do: the server has written what it has acknowledged."""

    async def upsert(self, points: Sequence[Point], *, keep_existing: bool = False) -> None:
        async with translated("write"):
            await self._client.upsert(
                self._collection,
                [_point(point) for point in points],
                wait=True,
                update_mode=models.UpdateMode.INSERT_ONLY if keep_existing else None,
            )

    async def delete(self, where: Where) -> None:
        async with translated("delete"):
            await self._client.delete(self._collection, models.FilterSelector(filter=_filter(where)), wait=True)

    async def read(self, ids: Sequence[str]) -> dict[str, Payload]:
        async with translated("read"):
            records = await self._client.retrieve(self._collection, ids, with_payload=True)
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
        async with translated("read"):
            by = models.OrderBy(key=where.time, direction=models.Direction.DESC) if where and newest_first else None
            records, following = await self._client.scroll(
                self._collection,
                _filter(where) if where else None,
                limit=limit,
                offset=after,
                with_payload=True if fields is None else list(fields),
                order_by=by,
            )
        stored = [Stored(str(record.id), record.payload or {}) for record in records]
        return stored, None if following is None else str(following)

    async def vectors(self, where: Where, limit: int) -> dict[PointId, Vector]:
        async with translated("read"):
            records, _ = await self._client.scroll(
                self._collection, _filter(where), limit=limit, with_payload=False, with_vectors=[DENSE]
            )
        found = ((record.id, record.vector.get(DENSE)) for record in records if isinstance(record.vector, dict))
        return {id: np.array(vector, np.float32) for id, vector in found if vector is not None}

    async def query(self, queries: Sequence[Nearest]) -> list[list[Found]]:
        async with translated("search"):
            answers = await self._client.query_batch_points(self._collection, [_query(query) for query in queries])
        return [[Found(point.id, point.score, point.payload or {}) for point in answer.points] for answer in answers]

    async def remove(self, ids: Sequence[str]) -> None:
        async with translated("delete"):
            await self._client.delete(self._collection, models.PointIdsList(points=list(ids)), wait=True)

    async def set_fields(self, where: Where, fields: Payload, *, only: bool = False) -> None:
        write = self._client.overwrite_payload if only else self._client.set_payload
        async with translated("write"):
            await write(self._collection, fields, models.FilterSelector(filter=_filter(where)), wait=True)

    async def count(self, where: Where | None = None, *, roughly: bool = False) -> int:
        async with translated("count"):
            found = await self._client.count(self._collection, _filter(where) if where else None, exact=not roughly)
        return found.count

    async def values(self, where: Where, field: str, limit: int) -> dict[str, int]:
        async with translated("count"):
            found = await self._client.facet(self._collection, field, _filter(where), limit=limit)
        return {str(hit.value): hit.count for hit in found.hits}


def require_supported(version: str) -> None:
    """Return if a server of this version can be used.

    Raises:
        ConfigurationError: it is too old.
    """
    try:
        supported = parse_version(version)[:2] >= _OLDEST
    except ValueError:
        supported = False
    if not supported:
        oldest = ".".join(map(str, _OLDEST))
        raise ConfigurationError(f"The Qdrant server has version {version!r}; {oldest} or newer is needed.")


@asynccontextmanager
async def translated(what: str) -> AsyncIterator[None]:
    """A call of the client, whose failures are `VectorsUnavailable` or `VectorsRefused`: "The Qdrant server could not
    <what>"."""
    await give_way()
    try:
        yield
    except (ApiException, QdrantException) as error:
        status = error.status_code if isinstance(error, UnexpectedResponse) else None
        answer = f": it answered {status}" if status else ""
        kind = VectorsRefused if status in _REFUSALS else VectorsUnavailable
        raise kind(f"The Qdrant server could not {what}{answer}") from error


_INDEX_PARAMS: dict[Index, models.PayloadSchemaParams] = {
    Index.TENANT: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    # Graphs are for users only; of the other fields nothing but filtering is asked.
    Index.KEYWORD: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False),
    Index.NAME: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, enable_hnsw=False, prefix=True),
    Index.TIME: models.IntegerIndexParams(
        type=models.IntegerIndexType.INTEGER, lookup=False, range=True, enable_hnsw=False
    ),
    Index.FLAG: models.BoolIndexParams(type=models.BoolIndexType.BOOL, enable_hnsw=False),
}


def _point(point: Point) -> models.PointStruct:
    vectors: dict[str, models.Vector] = {}
    if point.dense is not None:
        vectors[DENSE] = point.dense.tolist()
    if point.sparse is not None:
        vectors[SPARSE] = _sparse(point.sparse)
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


def _is_empty(name: str) -> models.Condition:
    return models.IsEmptyCondition(is_empty=models.PayloadField(key=name))


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _vector(vector: Vector | SparseVector) -> models.SparseVector | list[float]:
    return _sparse(vector) if isinstance(vector, SparseVector) else vector.tolist()


def _filter(where: Where) -> models.Filter:
    must: list[models.Condition] = [
        models.FieldCondition(key=name, match=models.MatchValue(value=value)) for name, value in where.equal.items()
    ]
    must += [models.FieldCondition(key=METADATA, match=models.MatchValue(value=tag)) for tag in where.tags]
    must += [
        models.FieldCondition(key=name, match=models.MatchAny(any=values)) for name, values in where.any_of.items()
    ]
    if where.named_like:
        must.append(models.FieldCondition(key=NAMED, match=models.MatchSubstring(substring=where.named_like)))
    if where.since is not None or where.until is not None:
        must.append(models.FieldCondition(key=where.time, range=models.Range(gte=where.since, lte=where.until)))
    if where.naming is not None:
        since, until = where.naming
        must.append(models.FieldCondition(key=TIMES, range=models.Range(gte=since, lte=until)))
    if where.begun_until is not None:
        must.append(models.FieldCondition(key=BEGAN, range=models.Range(lte=where.begun_until)))
    must_not: list[models.Condition] = [
        models.FieldCondition(key=name, match=models.MatchAny(any=values)) for name, values in where.none_of.items()
    ]
    must_not += [_is_empty(name) for name in where.having]
    must += [_is_empty(name) for name in where.lacking]
    if where.ids is not None:
        must.append(models.HasIdCondition(has_id=list(where.ids)))
    if where.exclude_ids:
        must_not.append(models.HasIdCondition(has_id=list(where.exclude_ids)))
    return models.Filter(must=must, must_not=must_not)


def _query(query: Nearest) -> models.QueryRequest:
    return models.QueryRequest(
        query=_vector(query.vector),
        using=SPARSE if isinstance(query.vector, SparseVector) else DENSE,
        filter=_filter(query.where),
        params=models.SearchParams(idf=models.IdfCorpusParams(corpus=_filter(query.corpus))) if query.corpus else None,
        limit=query.limit,
        with_payload=list(query.fields) if query.fields else False,
    )
