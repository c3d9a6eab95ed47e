"""The vocabulary of `engine.py` in terms of Qdrant Edge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import qdrant_edge as q

from recallr_litellm.core.records import SparseVector, Vector
from recallr_litellm.stores.vectors.engine import Nearest, Point, Where
from recallr_litellm.stores.vectors.schema import (
    BEGAN,
    DENSE,
    GIST,
    HIT,
    METADATA,
    NAMED,
    SPARSE,
    SPARSE_SCAN,
    TIMES,
    TOKENS,
    Index,
)

KEPT: Final = frozenset({HIT, TOKENS, TIMES, GIST})
"""Fields that are kept of what queries find (`kept_payloads.py`). They are read together: one takes as long as all."""


def shard_config(dimension: int) -> q.EdgeConfig:
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


INDEX_PARAMS: dict[Index, q.PayloadSchemaType | q.PayloadSchemaParams] = {
    Index.TENANT: q.KeywordIndexParams(is_tenant=True, memory=q.Memory.Cold),
    Index.KEYWORD: q.KeywordIndexParams(memory=q.Memory.Cold),
    Index.NAME: q.KeywordIndexParams(memory=q.Memory.Cold, prefix=True),
    Index.TIME: q.IntegerIndexParams(lookup=False, range=True, memory=q.Memory.Cold),
    Index.FLAG: q.BoolIndexParams(memory=q.Memory.Cold),
}


def point_of(point: Point) -> q.Point:
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


def filter_of(where: Where) -> q.Filter:
    must: list[q.ConditionType] = [
        *(_equal(name, value) for name, value in where.equal.items()),
        *(_lacking(name) for name in where.lacking),
    ]
    must += [q.FieldCondition(METADATA, match=q.MatchValue(tag)) for tag in where.tags]
    must += [q.FieldCondition(name, match=q.MatchAny(values)) for name, values in where.any_of.items()]
    if where.named_like:
        must.append(q.FieldCondition(NAMED, match=q.MatchSubstring(where.named_like)))
    if where.since is not None or where.until is not None:
        must.append(q.FieldCondition(where.time, range=q.RangeFloat(gte=where.since, lte=where.until)))
    if where.naming is not None:
        since, until = where.naming
        must.append(q.FieldCondition(TIMES, range=q.RangeFloat(gte=since, lte=until)))
    if where.begun_until is not None:
        must.append(q.FieldCondition(BEGAN, range=q.RangeFloat(lte=where.begun_until)))
    must_not: list[q.ConditionType] = [
        q.FieldCondition(name, match=q.MatchAny(values)) for name, values in where.none_of.items()
    ]
    must_not += [_lacking(name) for name in where.having]
    if where.ids is not None:
        must.append(q.HasIdCondition(set(where.ids)))
    if where.exclude_ids:
        must_not.append(q.HasIdCondition(set(where.exclude_ids)))
    return q.Filter(must=must, must_not=must_not)


def requests_of(queries: Sequence[Nearest]) -> list[q.QueryRequest]:
    # What stands in several queries is converted once, which takes longer than all the rest.
    vectors = {id(query.vector): query.vector for query in queries}
    nearest = {key: _nearest(vector) for key, vector in vectors.items()}
    wheres = {id(where): where for query in queries for where in (query.where, query.corpus) if where}
    filters = {key: filter_of(where) for key, where in wheres.items()}
    return [
        q.QueryRequest(
            limit=query.limit,
            query=nearest[id(query.vector)],
            filter=filters[id(query.where)],
            params=q.SearchParams(idf=q.IdfParams(corpus=filters[id(query.corpus)])) if query.corpus else None,
            with_payload=False if KEPT.issuperset(query.fields) else list(query.fields),
            with_vector=False,
        )
        for query in queries
    ]


def _nearest(vector: Vector | SparseVector) -> q.Query:
    return q.Query.Nearest(_vector(vector), using=SPARSE if isinstance(vector, SparseVector) else DENSE)


_equal = lru_cache(1024)(lambda name, value: q.FieldCondition(name, match=q.MatchValue(value)))
_lacking = lru_cache(32)(q.IsEmptyCondition)
