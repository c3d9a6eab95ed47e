"""Both real engines, with a real Valkey."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state import EmbeddedValkey
from recallr_litellm.stores.state.board import Board
from recallr_litellm.stores.vectors import Collections, VectorStore
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from recallr_litellm.stores.vectors.server import connect
from recallr_litellm.stores.vectors.server_collections import ServerCollections
from tests.support.qdrant_server import QdrantServer
from tests.unit.reindex.kit import OLD, Hashing, Remembering


@pytest.fixture(scope="session")
def sparse() -> SparseEncoder:
    return SparseEncoder()


@pytest.fixture(scope="session")
def qdrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    with QdrantServer(tmp_path_factory.mktemp("qdrant")) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey") / "redis")
    yield server.start()
    server.stop()


@pytest.fixture
async def board(valkey_url: str) -> AsyncIterator[Board]:
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    board = Board.from_url(valkey_url, timeout_seconds=5)
    yield board
    await board.close()


@pytest.fixture(params=["edge", "server"])
async def make_collections(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Callable[[], Collections]]:
    """Makes the collections of one store anew, as another process would see them."""
    if request.param == "edge":
        yield lambda: EdgeCollections(tmp_path / "qdrant")
        return
    server: QdrantServer = request.getfixturevalue("qdrant")
    name = f"recallr{uuid.uuid4().hex[:8]}"
    yield lambda: ServerCollections(partial(connect, server.url, None), name)


@pytest.fixture
async def collections(make_collections: Callable[[], Collections]) -> AsyncIterator[Collections]:
    collections = make_collections()
    yield collections
    await collections.close()


@pytest.fixture
def old() -> Hashing:
    return Hashing(*OLD)


@pytest.fixture
async def memory(collections: Collections, old: Hashing, sparse: SparseEncoder) -> Remembering:
    """The current collection, filled by the old model."""
    vectors = VectorStore(collections.engine(), old)
    await vectors.open()
    return Remembering(vectors, old, sparse)
