"""Vectors of sentences that were compared lately: of one fact after the other the same memories are near."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cachetools import LRUCache

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Vector
from recallr_litellm.stores.embedding import Embedder
from recallr_litellm.stores.embedding.passages import embed_texts

MOST = 4_000
"""6 MB at 384 dimensions, 25 MB at 1536."""


class Sentences:
    """LRU cache in front of an embedder. Owners share nothing."""

    def __init__(self, embedder: Embedder, *, size: int = MOST) -> None:
        self._embedder = embedder
        self._vectors: LRUCache[bytes, Vector | None] = LRUCache(size)

    async def vectors(self, owner: Owner, texts: Sequence[str]) -> list[Vector | None]:
        """The vectors, in the order of `texts`; None for a text that the model refuses.

        Raises:
            EmbeddingUnavailable: the model does not answer.
        """
        keys = [
            hashlib.blake2b(f"{owner.key}\0{text}".encode("utf-8", "replace"), digest_size=16).digest()
            for text in texts
        ]
        found = {key: self._vectors[key] for key in keys if key in self._vectors}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if new:
            vectors = await embed_texts(self._embedder, [*new.values()])
            found |= dict(zip(new, vectors, strict=True))
        self._vectors.update({key: found[key] for key in new})
        return [found[key] for key in keys]
