"""Short words for what the tests of the state store do."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

import redis

from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import Message, Role, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import CommitResult, Resolved, StateStore, codec, keys

Everything = redis.Redis | redis.RedisCluster
"""A plain client, to look at what is really there."""

NOW = 1_790_000_000_000
"""A moment, ms since the epoch, for tests that pass the time in."""

SECOND = 1000
TIMEOUT = 600
"""Of sessions, seconds."""

ANA = Owner("acme", "ana")
BEN = Owner("acme", "ben")


def said(position: int, text: str, *, role: Role = "user", exchange: str = "x", partial: bool = False) -> StoredMessage:
    """A message whose id depends on its exchange and position, as the gateway's do."""
    return StoredMessage(
        id=hashlib.sha256(f"{exchange}/{position}".encode()).hexdigest()[:32],
        exchange=exchange,
        position=position,
        at=NOW + position,
        partial=partial,
        message=Message(role=role, text=text),
    )


async def kept_blocks(store: StateStore, owner: Owner, session_id: str) -> tuple[LaidBlock, ...]:
    """The memory blocks of a session that is in Redis, newest first, whoever is in it."""
    texts: Any = await store._client.lrange(keys.blocks(owner, session_id), 0, -1)
    return codec.load_blocks(texts)


async def resolve(
    store: StateStore,
    owner: Owner = ANA,
    *,
    at: int | None = NOW,
    requested: str | None = None,
    lasting: int | None = None,
    with_blocks: bool = False,
) -> Resolved:
    """Resolve where it has to succeed. `at`: ms since the epoch, None for Redis's own time; `lasting`: seconds."""
    found = await store.resolve(
        owner,
        new_session_id=uuid.uuid4().hex,
        timeout_seconds=lasting,
        default_timeout_seconds=TIMEOUT,
        requested=requested,
        with_blocks=with_blocks,
        now_ms=at,
    )
    assert isinstance(found, Resolved), f"expected a session of {owner}, got {found}"
    return found


async def commit(
    store: StateStore,
    session_id: str,
    version: int,
    *texts: str,
    owner: Owner = ANA,
    exchange: str | None = None,
    at: int | None = NOW,
    final: bool = True,
) -> CommitResult:
    """Commit messages that nobody has said before, by an exchange of their own if none is given."""
    exchange = exchange or uuid.uuid4().hex
    return await store.commit(
        owner,
        session_id,
        exchange=exchange,
        expected_version=version,
        add=[said(number, text, exchange=exchange) for number, text in enumerate(texts)],
        drop=[],
        final=final,
        now_ms=at,
    )


async def session_with(store: StateStore, *texts: str, owner: Owner = ANA, at: int = NOW) -> str:
    """A new session that holds these messages; its owner's earlier one has to have timed out."""
    session = await resolve(store, owner, at=at)
    assert session.created, "the owner is still in an earlier session"
    assert await commit(store, session.session_id, 0, *texts, owner=owner, at=at) is CommitResult.STORED
    return session.session_id


def texts_of(messages: Sequence[StoredMessage]) -> list[str]:
    return [stored.message.text for stored in messages]


async def texts_in(store: StateStore, session_id: str, owner: Owner = ANA) -> list[str]:
    """All that a session holds, by position."""
    snapshot = await store.load(owner, session_id)
    assert snapshot is not None, f"session {session_id} is not in Redis"
    return texts_of(snapshot.messages)
