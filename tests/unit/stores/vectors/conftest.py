"""Every test of the store runs on both real engines: Qdrant Edge, and qdrant-client's own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient

from recallr_litellm.stores.vectors import Engine, VectorStore
from recallr_litellm.stores.vectors.edge import EdgeEngine
from recallr_litellm.stores.vectors.server import ServerEngine
from tests.unit.stores.vectors.vector_samples import DIMENSION, MODEL, Model


@pytest.fixture(params=["edge", "server"])
async def make_engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Engine]]:
    """Makes engines that share one collection."""
    if request.param == "edge":
        yield lambda: EdgeEngine(tmp_path / "qdrant")
        return
    client = AsyncQdrantClient(location=":memory:")
    yield lambda: ServerEngine(lambda: client, "recallr")
    await client.close()


@pytest.fixture
def engine(make_engine: Callable[[], Engine]) -> Engine:
    return make_engine()


@pytest.fixture
async def store(engine: Engine) -> AsyncIterator[VectorStore]:
    store = VectorStore(engine, Model(MODEL, DIMENSION))
    await store.open()
    yield store
    await store.close()
