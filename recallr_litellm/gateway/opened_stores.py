"""The half of a worker that opens stores and models, and watches whether they can be used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from recallr_litellm.errors import CallRefused, EmbeddingUnavailable, Unavailable
from recallr_litellm.gateway.background import run_aside
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.projects import load_projects
from recallr_litellm.recall.dates import warm_up
from recallr_litellm.services.known_projects import KnownProjects
from recallr_litellm.settings import Settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.data_dir import DataDir
from recallr_litellm.stores.embedding import GatewayEmbed, SparseEncoder, open_embedder
from recallr_litellm.stores.state import EmbeddedValkey, StateStore
from recallr_litellm.stores.vectors import VectorStore, open_collections

_log = logging.getLogger(__name__)

_WRITE_PROBE_SECONDS: Final = 10.0
"""How often a write to Qdrant is tried."""

_OWN_PROBE_SECONDS: Final = 10.0
"""How often the embedded Qdrant is read from: it is in this process, and its faults are those of the requests."""

_PATIENT_SECONDS: Final = 15.0
"""Timeout of a probe by a write to Qdrant or a call of an embedding model, which no request waits for."""


class OpenedStores:
    """Stores, models, projects, and a circuit breaker in front of each store and model.

    Args:
        gateway_embed: embeds through the gateway, for `RECALLR_EMBEDDING_MODEL=litellm/…`.
        count_tokens: tokens of a text.
    """

    def __init__(self, settings: Settings, *, gateway_embed: GatewayEmbed, count_tokens: Callable[[str], int]) -> None:
        self.settings = settings
        self._store_seconds = settings.store_timeout_ms / 1000
        embedded = settings.redis_url is None or settings.qdrant_url is None
        self._data_dir = DataDir(settings.data_dir) if embedded else None
        self._valkey = EmbeddedValkey(settings.valkey_dir) if settings.redis_url is None else None
        self._gateway_embed = gateway_embed
        self._count_tokens = count_tokens
        self._resources = AsyncExitStack()
        self._starting: asyncio.Future[str] | None = None

    def _open(self) -> None:
        """Open what the plugin is made of; whatever is open is in `_resources`."""
        settings, closing = self.settings, self._resources
        if self._data_dir is not None:
            self._data_dir.acquire()
            closing.callback(self._data_dir.release)
        self.projects = load_projects(settings)
        if self._valkey is not None:
            closing.push_async_callback(asyncio.to_thread, self._valkey.stop)
        url = self._valkey.start() if self._valkey is not None else _secret(settings)
        self._redis_url = url
        self._state = StateStore.from_url(url, timeout_seconds=self._store_seconds)
        closing.push_async_callback(self._state.close)
        self._embedder = open_embedder(settings, self._gateway_embed)
        closing.push_async_callback(self._embedder.close)
        self._collections = open_collections(settings)
        closing.push_async_callback(self._collections.close)
        self._vectors = VectorStore(self._collections, self._embedder)
        closing.push_async_callback(self._vectors.close)
        self._sparse = SparseEncoder()
        self._knowing = Knowing(self._state, self._vectors, self._embedder, self._sparse)
        self._known_projects = KnownProjects(self.projects, self._vectors, self._state)
        self._state_breaker = CircuitBreaker("redis", self._probe_state, probe_timeout=3 * self._store_seconds)
        self._vectors_breaker = CircuitBreaker(
            "qdrant",
            self._probe_vectors,
            interval=1.0 if settings.qdrant_url else _OWN_PROBE_SECONDS,
            probe_timeout=3 * self._store_seconds,
        )
        # Of its own: a Qdrant whose disk is full, or whose key may only read, still answers requests.
        self._writes_breaker = CircuitBreaker(
            "qdrant-writes", self._probe_writes, interval=_WRITE_PROBE_SECONDS, probe_timeout=_PATIENT_SECONDS
        )
        self._embedding_breaker = CircuitBreaker("embedding", self._probe_embedding, probe_timeout=_PATIENT_SECONDS)
        self._breakers = [self._state_breaker, self._vectors_breaker, self._writes_breaker, self._embedding_breaker]
        run_aside(self._check())

    def faults(self) -> dict[str, str]:
        """What keeps memory from working now, by kind: the log has the texts, which name addresses."""
        return {
            "embedding" if isinstance(breaker.error, EmbeddingUnavailable) else breaker.name: type(
                breaker.error
            ).__name__
            for breaker in self._breakers
            if breaker.error is not None
        }

    async def _check(self) -> None:
        """Load the models and look whether the vector store was filled with one, as far as all can be had now."""
        try:
            self._count_tokens("warm up")  # the tokenizer is loaded by its first use
            warm_up()
            await self._embedder.open()
            await self._vectors.open()
            await self._known_projects.read()
        except (Unavailable, CallRefused, TimeoutError) as error:
            _log.warning("Starting without memory for now: %s", error)
        finally:
            await self._vectors.suspend()

    async def _probe_state(self) -> None:
        if self._valkey is not None and (self._state_breaker.in_doubt or not self._valkey.runs):
            # One start for all probes: a probe that runs out of time does not end the thread of its start.
            if self._starting is None or self._starting.done():
                self._starting = asyncio.ensure_future(asyncio.to_thread(self._valkey.start))
            await asyncio.shield(self._starting)
        await self._state.probe()

    async def _probe_vectors(self) -> None:
        await self._embedder.open()
        await self._vectors.open()
        await self._vectors.ping()

    async def _probe_writes(self) -> None:
        await self._probe_vectors()
        await self._vectors.probe_write()

    async def _probe_embedding(self) -> None:
        await self._embedder.open()
        if self._embedding_breaker.in_doubt:  # an endpoint charges for it
            await self._embedder.probe()


def _secret(settings: Settings) -> str:
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()
