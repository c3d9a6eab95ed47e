"""A plugin without a gateway: the real stores and the bundled model in a folder of the test's own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recallr_litellm.core.messages import Message
from recallr_litellm.core.owner import Owner
from recallr_litellm.memory.capture import Capture, Exchange
from recallr_litellm.memory.processing import Processor
from recallr_litellm.memory.sessions import OpenedSession, SessionRequest, Sessions
from recallr_litellm.settings import Settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import Embedder, SparseEncoder, open_embedder
from recallr_litellm.stores.state import EmbeddedValkey, StateStore
from recallr_litellm.stores.vectors import VectorStore, open_collections

ANA = Owner("acme", "ana")


async def _no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise AssertionError(f"nobody asks the gateway to embed with {model}: {len(texts)}")


@dataclass
class Plugin:
    """What the tests work with."""

    valkey: EmbeddedValkey
    url: str
    state: StateStore
    vectors: VectorStore
    embedder: Embedder
    sparse: SparseEncoder
    state_breaker: CircuitBreaker
    vectors_breaker: CircuitBreaker
    embedding_breaker: CircuitBreaker
    sessions: Sessions
    capture: Capture

    def request(self, owner: Owner = ANA, **changes: object) -> SessionRequest:
        defaults = {"at": time.time_ns() // 1_000_000, "allow_new_user": True}
        return SessionRequest(owner, **{**defaults, **changes})  # type: ignore[arg-type]

    async def exchange(
        self, id: str, *said: str, reply: str = "ok", session: OpenedSession | None = None, **changes: object
    ) -> Exchange:
        """An exchange of the user's current session; `session=None` opens it."""
        request = self.request()
        return Exchange(
            id=id,
            request=request,
            incoming=tuple(Message(role="user", text=text) for text in said),
            replies=(Message(role="assistant", text=reply),),
            answered_at=request.at + 1,
            session=session or await self.sessions.open(request),
            **{"partial": False, **changes},  # type: ignore[arg-type]
        )

    async def texts(self, session_id: str, owner: Owner = ANA) -> list[str]:
        """What Redis holds of a session."""
        snapshot = await self.state.load(owner, session_id)
        return [stored.message.text for stored in snapshot.messages] if snapshot else []

    def processor(self, **changes: object) -> Processor:
        options = {"interval": 0.05, "lease_seconds": 60.0, "max_attempts": 2, **changes}
        return Processor(
            self.state,
            self.vectors,
            self.embedder,
            self.sparse,
            state_breaker=self.state_breaker,
            vectors_breaker=self.vectors_breaker,
            embedding_breaker=self.embedding_breaker,
            count_tokens=len,
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
async def plugin(tmp_path: Path, quick_stores: None) -> AsyncIterator[Plugin]:
    settings = Settings(data_dir=tmp_path)
    valkey = EmbeddedValkey(tmp_path / "redis")
    url = valkey.start()
    state = StateStore.from_url(url, timeout_seconds=60)
    embedder = open_embedder(settings, _no_gateway)
    await embedder.open()
    vectors = VectorStore(open_collections(settings), embedder)
    await vectors.open()
    state_breaker = CircuitBreaker("redis", state.probe, probe_timeout=60)
    vectors_breaker = CircuitBreaker("qdrant", vectors.ping, probe_timeout=60)
    embedding_breaker = CircuitBreaker("embedding", embedder.probe, probe_timeout=60)
    for breaker in (state_breaker, vectors_breaker, embedding_breaker):
        await breaker.probe()
    sessions = Sessions(state, vectors, default_timeout_seconds=600)
    capture = Capture(state, sessions, state_breaker, capacity=3)
    yield Plugin(
        valkey,
        url,
        state,
        vectors,
        embedder,
        SparseEncoder(),
        state_breaker,
        vectors_breaker,
        embedding_breaker,
        sessions,
        capture,
    )
    await vectors.close()
    await embedder.close()
    await state.close()
    valkey.stop()
