"""Texts as passages: each with both of its vectors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Final

from recallr_litellm.core.records import Passage, Vector
from recallr_litellm.errors import EmbeddingRefused
from recallr_litellm.stores.embedding.base import Embedder
from recallr_litellm.stores.embedding.sparse import SparseEncoder

_log = logging.getLogger(__name__)

AT_A_TIME: Final = 32
"""Texts that are embedded before other sessions have their turn."""


async def embed_passages(embedder: Embedder, sparse: SparseEncoder, texts: Sequence[str]) -> list[Passage | None]:
    """The texts with their vectors, in their order; None for each text that the model refuses.

    Raises:
        EmbeddingUnavailable: the model is not open, failed, or refuses any text.
    """
    dense = [vector for some in _slices(texts) for vector in await _accepted(embedder, some)]
    taken = [text for text, vector in zip(texts, dense, strict=True) if vector is not None]
    terms = iter([one for some in _slices(taken) for one in await asyncio.to_thread(sparse.passages, some)])
    return [
        None if vector is None else Passage(text, vector, next(terms))
        for text, vector in zip(texts, dense, strict=True)
    ]


async def _accepted(embedder: Embedder, texts: Sequence[str]) -> list[Vector | None]:
    """The vectors; None for a text that is refused, which is found by halving."""
    try:
        return [*await embedder.passages(texts)]
    except EmbeddingRefused as error:
        if len(texts) == 1:
            await embedder.probe()  # raises where the model refuses any text
            _log.warning("A passage is stored but cannot be found by its meaning: %s", error)
            return [None]
    half = len(texts) // 2
    return [*await _accepted(embedder, texts[:half]), *await _accepted(embedder, texts[half:])]


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + AT_A_TIME] for start in range(0, len(texts), AT_A_TIME))
