"""One small memory for all tests of this folder, in the embedded store, found with the bundled model."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from recallr_litellm.core.messages import Role
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import SparseEncoder, open_embedder
from recallr_litellm.stores.vectors import VectorStore, open_collections
from tests.unit.recall_agentic.kit import DAY, MARA, OTTO, START, Store

MARAS: dict[str, list[tuple[Role, str]]] = {
    "dog": [
        ("user", "We adopted a greyhound from the shelter yesterday."),
        ("assistant", "Congratulations! I would call him Comet, Dash or Pascal."),
        ("user", "Pascal it is!"),
    ],
    "work": [
        ("user", "I started as a nurse at the children's hospital. My shift starts at ten in the evening."),
        ("assistant", " ".join(f"Tip {n}: keep room {n} dark when you sleep by day {n}." for n in range(400))),
        ("user", "I will buy blinds."),
    ],
}
OTTOS: dict[str, list[tuple[Role, str]]] = {"otto": [("user", "My dog is called Brutus; my PIN is 4711.")]}


async def no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise AssertionError(f"{model} is not to be used here")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    chosen = Settings(data_dir=tmp_path_factory.mktemp("data"), embedding_model=None, qdrant_url=None)
    embedder = open_embedder(chosen, no_gateway)
    await embedder.open()
    vectors = VectorStore(open_collections(chosen), embedder)
    await vectors.open()
    store = Store(vectors, embedder, SparseEncoder())
    for owner, sessions in ((MARA, MARAS), (OTTO, OTTOS)):
        for number, (session, said) in enumerate(sessions.items()):
            await store.remember(owner, session, said, START + number * 7 * DAY)
    yield store
    await vectors.close()
    await embedder.close()
