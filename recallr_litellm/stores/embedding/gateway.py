"""An embedding model of the gateway itself, called through its router."""

from __future__ import annotations

from collections.abc import Sequence

from recallr_litellm.core.records import Vector
from recallr_litellm.errors import (
    EmbeddingBusy,
    EmbeddingMisconfigured,
    EmbeddingRefused,
    EmbeddingUnavailable,
    RecallrError,
)
from recallr_litellm.stores.embedding.base import GatewayEmbed, bounded, unit
from recallr_litellm.stores.embedding.queries import QueryCache

BATCH = 32
"""Texts a call; providers take from 96 up, and a failed call is repeated whole."""

_BY_STATUS: dict[int | None, type[RecallrError]] = {
    **dict.fromkeys((400, 413, 422), EmbeddingRefused),
    **dict.fromkeys((401, 403, 404), EmbeddingMisconfigured),
}
"""`status_code` of an error of LiteLLM or the openai library → what is wrong. Any other is an outage."""
_BUSY = 429


class GatewayEmbedder:
    """Calls the injected function; normalises and checks what comes back."""

    def __init__(self, name: str, model: str, embed: GatewayEmbed) -> None:
        self.name = name
        self._model = model
        self._embed = embed
        self._dimension: int | None = None
        self._closed = False
        self._queries = QueryCache(self._query)

    @property
    def dimension(self) -> int:
        if self._dimension is None:
            raise EmbeddingUnavailable(f"the embedding model {self.name} is not open")
        return self._dimension

    async def open(self) -> None:
        if self._dimension is None:
            self._dimension = len(await self._embed_probe())

    async def probe(self) -> None:
        await self._embed_probe()

    async def query(self, text: str, project: str) -> Vector:
        return await self._queries.get(text, project)

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        vectors: list[Vector] = []
        for start in range(0, len(texts), BATCH):
            vectors += await self._checked([bounded(text) for text in texts[start : start + BATCH]])
        return vectors

    async def close(self) -> None:
        self._closed = True

    async def _embed_probe(self) -> Vector:
        """Vector of a word that any embedding model takes."""
        try:
            [vector] = await self._call(["dimension"])
        except EmbeddingRefused as error:  # LiteLLM answers 400 for a model that the gateway does not have
            raise EmbeddingMisconfigured(str(error)) from error
        return vector

    async def _query(self, text: str) -> Vector:
        [vector] = await self._checked([text])
        return vector

    async def _checked(self, texts: list[str]) -> list[Vector]:
        """Vectors of the dimension that `open` found: a deployment behind the same name may have changed."""
        dimension = self.dimension
        vectors = await self._call(texts)
        if wrong := {len(vector) for vector in vectors} - {dimension}:
            raise EmbeddingMisconfigured(
                f"{self.name} returned vectors of {sorted(wrong)} numbers instead of {dimension}"
            )
        return vectors

    async def _call(self, texts: list[str]) -> list[Vector]:
        if self._closed:
            raise EmbeddingUnavailable(f"the embedding model {self.name} is closed")
        try:
            vectors = [unit(values) for values in await self._embed(self._model, texts)]
        except RecallrError:
            raise
        except Exception as error:
            status = getattr(error, "status_code", None)
            kind = _BY_STATUS.get(status, EmbeddingUnavailable)
            # Not the message: it may quote the text.
            problem = f"the embedding model {self.name} failed: {type(error).__name__}, status {status}"
            if status == _BUSY:
                raise EmbeddingBusy(problem, retry_after=retry_after(error)) from error
            raise kind(problem) from error
        if len(vectors) != len(texts):
            raise EmbeddingUnavailable(f"{self.name} returned {len(vectors)} vectors for {len(texts)} texts")
        return vectors


def retry_after(error: Exception) -> float | None:
    """Seconds that the provider's answer, or LiteLLM's router, asks to wait."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    try:
        return float(headers.get("retry-after") or getattr(error, "cooldown_time", None) or "")
    except (TypeError, ValueError):  # none, or a date
        return None
