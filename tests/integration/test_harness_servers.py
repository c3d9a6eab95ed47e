"""The Qdrant server of the tests answers the real client as Qdrant does."""

from __future__ import annotations

from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.qdrant_server import QdrantServer

COLLECTION = "memories"
ONCE = Retry(NoBackoff(), 0)
"""redis-py repeats a failed command for seconds unless told not to."""


def connect(server: QdrantServer, *, timeout: int = 60, api_key: str | None = None) -> AsyncQdrantClient:
    return AsyncQdrantClient(url=server.url, timeout=timeout, api_key=api_key, check_compatibility=False)


def only(owner: str) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key="owner", match=models.MatchValue(value=owner))])


async def fill(client: AsyncQdrantClient) -> None:
    """Six points of two owners: dense vectors at growing angles, term 1 in all of a's, term 2 in one of them."""
    await client.create_collection(
        COLLECTION,
        vectors_config={"dense": models.VectorParams(size=2, distance=models.Distance.COSINE)},
        sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    await client.create_payload_index(COLLECTION, "owner", tenant)
    await client.create_payload_index(COLLECTION, "at", models.PayloadSchemaType.INTEGER)
    points = [
        models.PointStruct(
            id=number,
            vector={
                "dense": [1.0, 0.5 * number],
                "sparse": models.SparseVector(
                    indices=[1, 2] if number == 3 else [1], values=[1.0] * (1 + (number == 3))
                ),
            },
            payload={"owner": "a" if number <= 3 else "b", "at": 100 - number, "text": f"point {number}"},
        )
        for number in range(1, 7)
    ]
    await client.upsert(COLLECTION, points, wait=True)


async def test_qdrant_serves_the_real_client(tmp_path: Path) -> None:
    with QdrantServer(tmp_path) as server:
        client = connect(server)
        assert not await client.collection_exists(COLLECTION)
        await fill(client)
        assert await client.collection_exists(COLLECTION)
        info = await client.get_collection(COLLECTION)
        assert isinstance(info.config.params.vectors, dict)
        assert info.config.params.vectors["dense"].size == 2

        nearest = await client.query_points(
            COLLECTION, query=[1.0, 0.5], using="dense", query_filter=only("a"), limit=2
        )
        assert [point.id for point in nearest.points] == [1, 2], "nearest first, the owner's only"
        assert nearest.points[0].score == pytest.approx(1.0)

        rare = models.SparseVector(indices=[1, 2], values=[1.0, 1.0])
        per_tenant = models.SearchParams(idf=models.IdfCorpusParams(corpus=only("a")))
        requests = [
            models.QueryRequest(
                query=models.NearestQuery(nearest=[1.0, 0.5]),
                using="dense",
                prefetch=[
                    models.Prefetch(query=rare, using="sparse", filter=only("a"), limit=5),
                    models.Prefetch(query=[0.0, 1.0], using="dense", filter=only("a"), limit=1),
                ],
                limit=10,
                with_payload=["text"],
            ),
            models.QueryRequest(query=rare, using="sparse", filter=only("a"), params=per_tenant, limit=10),
        ]
        rescored, sparse = await client.query_batch_points(COLLECTION, requests)
        assert [point.payload for point in rescored.points] == [{"text": f"point {n}"} for n in (1, 2, 3)]
        assert sparse.points[0].id == 3, "the rare term decides"

        page, following = await client.scroll(COLLECTION, scroll_filter=only("b"), limit=2, with_payload=False)
        assert [point.id for point in page] == [4, 5]
        assert following == 6
        newest, _ = await client.scroll(
            COLLECTION, limit=2, order_by=models.OrderBy(key="at", direction=models.Direction.ASC)
        )
        assert [point.id for point in newest] == [6, 5]

        found = await client.retrieve(COLLECTION, [2, 99], with_vectors=["dense"])
        assert [point.id for point in found] == [2], "unknown ids are left out"

        await client.delete(COLLECTION, only("b"))
        await client.delete(COLLECTION, [1])
        assert (await client.count(COLLECTION)).count == 2
        await client.close()


@pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
async def test_qdrant_refuses_as_qdrant_does(tmp_path: Path) -> None:
    with QdrantServer(tmp_path, api_key="secret") as server:
        stranger, client = connect(server), connect(server, api_key="secret")
        await fill(client)
        failures = {
            401: stranger.get_collections(),
            404: client.count("no-such-collection"),
            409: fill(client),
            400: client.query_points(COLLECTION, query=[1.0, 2.0], using="no-such-vector"),
        }
        for status, call in failures.items():
            with pytest.raises(UnexpectedResponse) as refusal:
                await call
            assert refusal.value.status_code == status, refusal.value
        await stranger.close()
        await client.close()
