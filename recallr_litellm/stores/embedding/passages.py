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
    dense = await embed_texts(embedder, texts, wait=wait)
    taken = [text for text, vector in zip(texts, dense, strict=True) if vector is not None]
    terms = iter([one for some in _slices(taken) for one in await asyncio.to_thread(sparse.passages, some)])
    return [
        None if vector is None else Passage(text, vector, next(terms))
        for text, vector in zip(texts, dense, strict=True)
    ]


async def embed_texts(embedder: Embedder, texts: Sequence[str], *, wait: Wait = _give_up) -> list[Vector | None]:
    """The vectors of texts that are only compared, see `embed_passages`."""
    dense: list[Vector | None] = []
    size, failures = AT_A_TIME, 0
    while len(dense) < len(texts):
        try:
            await _embed(embedder, texts[len(dense) : len(dense) + size], dense)
            failures = 0
        except EmbeddingUnavailable as error:
            failures += 1
            await wait(error, failures)
            if failures > 1:  # the endpoint's limit per minute may be lower
                size = max(1, size // 2)
    return dense


async def _embed(embedder: Embedder, texts: Sequence[str], dense: list[Vector | None]) -> None:
    """Append the vectors to `dense`, also where it raises for the later ones of the texts.

    None for a text that is refused, which is found by halving.
    """
    try:
        dense += await embedder.passages(texts)
    except EmbeddingRefused as error:
        if half := len(texts) // 2:
            await _embed(embedder, texts[:half], dense)
            await _embed(embedder, texts[half:], dense)
        else:
            await embedder.probe()  # raises where the model refuses any text
            _log.warning("A passage is stored but cannot be found by its meaning: %s", error)
            dense.append(None)


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + AT_A_TIME] for start in range(0, len(texts), AT_A_TIME))
