"""Texts as passages: each with both of its vectors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from recallr_litellm.core.records import Passage, Vector
from recallr_litellm.errors import EmbeddingRefused, EmbeddingUnavailable
from recallr_litellm.stores.embedding.base import Embedder
from recallr_litellm.stores.embedding.sparse import SparseEncoder

_log = logging.getLogger(__name__)

AT_A_TIME: Final = 32
"""Texts that are embedded before other sessions have their turn."""


Wait = Callable[[EmbeddingUnavailable, int], Awaitable[None]]
"""Called with an outage and how many there were in a row. Returns when to try again; raises to give up."""


async def _give_up(error: EmbeddingUnavailable, failures: int) -> None:
    raise error


async def embed_passages(
    embedder: Embedder, sparse: SparseEncoder, texts: Sequence[str], *, wait: Wait = _give_up
) -> list[Passage | None]:
    """The texts with their vectors, in their order; None for each text that the model refuses.

    Args:
        wait: on an outage; then only those texts are tried again that have no vectors yet.

    Raises:
        EmbeddingUnavailable: the model is not open, failed, or refuses any text.
    """
    dense = [vector for some in _slices(texts) for vector in await _accepted(embedder, some, wait)]
    taken = [text for text, vector in zip(texts, dense, strict=True) if vector is not None]
    terms = iter([one for some in _slices(taken) for one in await asyncio.to_thread(sparse.passages, some)])
    return [
        None if vector is None else Passage(text, vector, next(terms))
        for text, vector in zip(texts, dense, strict=True)
    ]


async def _accepted(embedder: Embedder, texts: Sequence[str], wait: Wait, failures: int = 0) -> list[Vector | None]:
    """The vectors; None for a text that is refused, which is found by halving.

    Texts are halved after an outage too: a limit of texts or tokens per minute may be below what one slice takes.
    """
    while True:
        try:
            return await _tried(embedder, texts)
        except EmbeddingRefused:
            pass  # one of several texts
        except EmbeddingUnavailable as error:
            failures += 1
            await wait(error, failures)
            if len(texts) == 1:
                continue
        half = len(texts) // 2
        first = await _accepted(embedder, texts[:half], wait, failures)
        return [*first, *await _accepted(embedder, texts[half:], wait)]


async def _tried(embedder: Embedder, texts: Sequence[str]) -> list[Vector | None]:
    try:
        return [*await embedder.passages(texts)]
    except EmbeddingRefused as error:
        if len(texts) > 1:
            raise
        await embedder.probe()  # raises where the model refuses any text
        _log.warning("A passage is stored but cannot be found by its meaning: %s", error)
        return [None]


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + AT_A_TIME] for start in range(0, len(texts), AT_A_TIME))
