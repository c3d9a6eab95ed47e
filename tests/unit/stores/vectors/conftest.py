"""Every test of the store runs on both real engines: Qdrant Edge, and qdrant-client's own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient

from recallr_litellm.stores.vectors import Collections, Engine, VectorStore
from recallr_litellm.stores.vectors.collections import name_of
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from recallr_litellm.stores.vectors.server_collections import ServerCollections
from tests.unit.stores.vectors.vector_samples import DIMENSION, MODEL, Model


@pytest.fixture(params=["edge", "server"])
async def make_collections(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Collections]]:
    """Makes the collections of one store, as another process sees them."""
    if request.param == "edge":
        yield lambda: EdgeCollections(tmp_path / "qdrant")
        return
    client = AsyncQdrantClient(location=":memory:")
    yield lambda: ServerCollections(lambda: client, "recallr")
    await client.close()


@pytest.fixture
def collections(make_collections: Callable[[], Collections]) -> Collections:
    return make_collections()


@pytest.fixture
def engine(collections: Collections) -> Engine:
    """That of the collection of `MODEL`."""
    return collections.engine(name_of(collections.base, MODEL))


@pytest.fixture
async def store(collections: Collections) -> AsyncIterator[VectorStore]:
    store = VectorStore(collections, Model(MODEL, DIMENSION))
    await store.open()
    yield store
    await store.close()
