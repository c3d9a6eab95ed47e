"""Sessions that could not be made memory, as a processor leaves them in Redis after its last attempt."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import Resolved, StateStore
from recallr_litellm.stores.state.learning_queue import LearningQueue

Answer = TypeVar("Answer")

_DAY_MS = 24 * 3600 * 1000


def set_all_aside(url: str, reason: str) -> list[str]:
    """Set every session in this Redis aside as failed, whether it is due yet or not; their ids."""

    async def act(store: StateStore) -> list[str]:
        tomorrow = round(time.time() * 1000) + _DAY_MS
        claims = await store.claim(1000, lease_seconds=60, now_ms=tomorrow)
        for claim in claims:
            await store.set_failed(claim, reason)
        return [claim.session_id for claim in claims]

    return asyncio.run(_with_store(url, act))


def set_learning_aside(url: str, owner: Owner, reason: str) -> None:
    """Set a user of whom a session is to be learned aside, as after the last attempt at it."""

    async def act(store: StateStore) -> None:
        await store.remember_user(owner)
        queue = LearningQueue(store.link, timeout_seconds=60.0)
        await queue.add(owner, uuid.uuid4().hex, 1)
        for claim in await queue.claim(1000, lease_seconds=60):
            await queue.set_failed(claim, reason)

    asyncio.run(_with_store(url, act))


def add_session(url: str, owner: Owner, text: str) -> str:
    """A session in which the owner has said this, put there without a gateway; its id."""

    async def act(store: StateStore) -> str:
        await store.remember_user(owner)
        session = await store.resolve(
            owner, new_session_id=uuid.uuid4().hex, timeout_seconds=None, default_timeout_seconds=600, requested=None
        )
        assert isinstance(session, Resolved), f"no session for {owner}: {session}"
        exchange = uuid.uuid4().hex
        message = StoredMessage(
            id=uuid.uuid4().hex,
            exchange=exchange,
            position=0,
            at=round(time.time() * 1000),
            partial=False,
            message=Message(role="user", text=text),
        )
        await store.commit(
            owner,
            session.session_id,
            exchange=exchange,
            expected_version=session.version,
            add=[message],
            drop=[],
            final=True,
        )
        return session.session_id

    return asyncio.run(_with_store(url, act))


async def _with_store(url: str, act: Callable[[StateStore], Awaitable[Answer]]) -> Answer:
    store = StateStore.from_url(url, timeout_seconds=60.0)
    try:
        return await act(store)
    finally:
        await store.close()
