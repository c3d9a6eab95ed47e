"""Both engines: Qdrant Edge, and qdrant-client's own behind the server's interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient

from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.vectors import Collections
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from recallr_litellm.stores.vectors.server_collections import ServerCollections
from tests.unit.reindex.kit import NEW, OLD, Hashing, Store


@pytest.fixture(scope="session")
def sparse() -> SparseEncoder:
    return SparseEncoder()


@pytest.fixture(params=[pytest.param("edge", marks=pytest.mark.slow), "server"])
async def make_collections(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Collections]]:
    """The collections of one store. Embedded, those made before have to be closed first; `integration/test_reindex_cli`
    has them too."""
    if request.param == "edge":
        yield lambda: EdgeCollections(tmp_path / "recallr")
        return
    client = AsyncQdrantClient(location=":memory:")
    yield lambda: ServerCollections(lambda: client, "recallr")
    await client.close()


@pytest.fixture
async def store(make_collections: Callable[[], Collections], sparse: SparseEncoder) -> Store:
    return Store(make_collections(), sparse)


@pytest.fixture
def old() -> Hashing:
    return Hashing(*OLD)


@pytest.fixture
def new() -> Hashing:
    return Hashing(*NEW)
