"""Embeddings of recent queries, so that a project's same words are embedded once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from cachetools import LRUCache

from recallr_litellm.core.records import Vector
from recallr_litellm.stores.embedding.base import bounded

MAX_QUERIES = 10_000
"""15 MB at 384 dimensions, 60 MB at 1536."""

_Key = tuple[str, bytes]


class QueryCache:
    """LRU cache in front of `embed`; calls of a project for the same text at the same time share one call of it.

    The key is the project and a digest of the text that is embedded. Projects share nothing: otherwise the time of an
    answer would tell one project what another has just asked. Failures are not kept.
    """

    def __init__(self, embed: Callable[[str], Awaitable[Vector]]) -> None:
        self._embed = embed
        self._vectors: LRUCache[_Key, Vector] = LRUCache(MAX_QUERIES)
        self._running: dict[_Key, asyncio.Task[Vector]] = {}

    async def get(self, text: str, project: str) -> Vector:
        """Vector of the first `MAX_CHARACTERS` of `text`. Raises what `embed` raises."""
        text = bounded(text)
        key = project, hashlib.blake2b(text.encode(), digest_size=16).digest()
        vector = self._vectors.get(key)
        if vector is not None:
            return vector
        task = self._running.get(key)
        if task is None:
            task = asyncio.ensure_future(self._embed(text))
            self._running[key] = task
            task.add_done_callback(partial(self._finished, key))
        # A caller past its deadline must not take the others' answer with it.
        return await asyncio.shield(task)

    def _finished(self, key: _Key, task: asyncio.Task[Vector]) -> None:
        del self._running[key]
        if not task.cancelled() and task.exception() is None:
            self._vectors[key] = task.result()
