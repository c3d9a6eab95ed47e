"""Conversations in an embedded store of their own, found with the bundled model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from recallr_litellm.recall import Recall
from recallr_litellm.stores.embedding import SparseEncoder
from tests.benchmarks.conversations import Conversation, Said, Spoken, remember
from tests.benchmarks.material import opened

NOW = datetime(2025, 7, 1, 12, 0, tzinfo=UTC)


def chat(name: str, begun: tuple[int, int, int], *texts: str) -> Spoken:
    """A session in which user and assistant take turns, a minute apart, from nine o'clock on."""
    said = (Said(f"{name}:{n}", "assistant" if n % 2 else "user", text) for n, text in enumerate(texts))
    return Spoken(name, datetime(*begun, 9, tzinfo=UTC), tuple(said))


@asynccontextmanager
async def remembering(folder: Path, *conversations: Conversation) -> AsyncIterator[Recall]:
    """Recall from a store in which each conversation is the memory of its owner."""
    vectors, embedder = await opened(folder)
    sparse = SparseEncoder()
    for conversation in conversations:
        await remember(conversation, vectors, embedder, sparse)
    yield Recall(vectors, embedder, sparse)
    await vectors.close()
    await embedder.close()
