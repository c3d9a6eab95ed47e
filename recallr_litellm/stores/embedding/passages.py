"""Texts as passages: each with both of its vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from recallr_litellm.core.records import Passage
from recallr_litellm.stores.embedding.base import Embedder
from recallr_litellm.stores.embedding.sparse import SparseEncoder

AT_A_TIME: Final = 32
"""Texts that are embedded before other sessions have their turn."""


async def embed_passages(embedder: Embedder, sparse: SparseEncoder, texts: Sequence[str]) -> list[Passage]:
    """The texts with their vectors, in their order.

    Raises:
        EmbeddingUnavailable: the model is not open, or failed.
    """
    passages: list[Passage] = []
    for start in range(0, len(texts), AT_A_TIME):
        some = texts[start : start + AT_A_TIME]
        dense = await embedder.passages(some)
        terms = await asyncio.to_thread(sparse.passages, some)
        passages += [Passage(*parts) for parts in zip(some, dense, terms, strict=True)]
    return passages
