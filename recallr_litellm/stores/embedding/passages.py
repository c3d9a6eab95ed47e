"""Texts as passages: each with both of its vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from recallr_litellm.core.records import Passage
from recallr_litellm.stores.embedding.base import Embedder
from recallr_litellm.stores.embedding.sparse import SparseEncoder


async def embed_passages(embedder: Embedder, sparse: SparseEncoder, texts: Sequence[str]) -> list[Passage]:
    """The texts with their vectors, in their order.

    Raises:
        EmbeddingUnavailable: the model is not open, or failed.
    """
    if not texts:
        return []
    dense = await embedder.passages(texts)
    terms = await asyncio.to_thread(sparse.passages, texts)
    return [Passage(*parts) for parts in zip(texts, dense, terms, strict=True)]
