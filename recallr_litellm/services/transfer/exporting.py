"""Writes a user's whole memory as one document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import UserNotFound
from recallr_litellm.json_text import written
from recallr_litellm.services.transfer.document import (
    FORMAT,
    VERSION,
    ConflictItem,
    ExtractionItem,
    MemoryItem,
    MessageItem,
    SessionItem,
    UserItem,
    written_item,
)
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.vectors import VectorStore


class Holdings(NamedTuple):
    """How much is remembered of a user."""

    processed_sessions: int
    open_sessions: int
    messages: int
    memories: int


class Exporter:
    """Exports users."""

    def __init__(self, state: StateStore, vectors: VectorStore) -> None:
        self._state = state
        self._vectors = vectors

    async def export(self, owner: Owner) -> AsyncIterator[bytes]:
        """The document, a session or memory a line, the oldest sessions first. It holds all that is known of the user
        when it begins, and of what is said meanwhile some or nothing.

        Raises:
            UserNotFound: before the first line.
            Unavailable: a store does not answer; what has come by then is no whole document.
        """
        user = await self._vectors.get_user(owner)
        if user is None:
            raise UserNotFound(f"User {owner.user} not found")
        item = UserItem(id=owner.user, created_at=user.created_at, metadata=user.metadata)
        head = {"format": FORMAT, "version": VERSION, "user": written_item(item)}
        yield written(head)[:-1] + b',\n"memories": ['
        between = b"\n"
        async for memory in self._vectors.each_memory(owner):
            yield between + written(written_item(MemoryItem.model_construct(**dict(memory))))
            between = b",\n"
        conflicts = [ConflictItem.model_construct(**dict(one)) for one in await self._vectors.conflicts(owner)]
        yield b'\n],\n"conflicts": [' + b",\n".join(written(written_item(one)) for one in conflicts) + b"],\n"
        yield b'"extractions": ['
        between = b"\n"
        for extraction in await self._vectors.extractions(owner):
            yield between + written(written_item(ExtractionItem.of(extraction)))
            between = b",\n"
        yield b"\n],\n"
        yield b'"sessions": ['
        between = b"\n"
        for session_id in await self._oldest_first(owner):
            session = await self._session(owner, session_id)
            if session is not None:
                yield between + written(written_item(session))
                between = b",\n"
        yield b"\n]}\n"

    async def _oldest_first(self, owner: Owner) -> list[str]:
        """Ids of all sessions."""
        # Those in Redis first: what becomes memory meanwhile is found in Qdrant then.
        states = await self._state.look(owner, await self._state.open_sessions(owner))
        begun = {id: state.created_at for id, state in states.items()}
        begun |= {session.id: session.created_at for session in await self._vectors.newest_sessions(owner)}
        return sorted(begun, key=lambda id: (begun[id], id))

    async def holdings(self, owner: Owner) -> Holdings:
        """How much an export would hold."""
        states = await self._state.look(owner, await self._state.open_sessions(owner))
        sessions = await self._vectors.count_sessions(owner, exclude=list(states))
        messages = await self._vectors.count_messages(owner, exclude_sessions=list(states))
        messages += sum(state.message_count for state in states.values())
        memories = (await self._vectors.count_remembered(owner)).memories
        return Holdings(sessions, len(states), messages, memories)

    async def _session(self, owner: Owner, session_id: str) -> SessionItem | None:
        """A session with its messages; None for one that is deleted meanwhile."""
        snapshot = await self._state.load(owner, session_id)
        if snapshot is not None:
            return SessionItem.model_construct(
                id=session_id,
                created_at=snapshot.created_at,
                last_at=snapshot.last_at,
                timeout_seconds=snapshot.timeout_seconds,
                status="open",
                metadata=snapshot.metadata or {},
                messages=_messages(snapshot.messages),
            )
        record = await self._vectors.get_session(owner, session_id)
        if record is None:
            return None
        return SessionItem.model_construct(
            id=session_id,
            created_at=record.created_at,
            last_at=record.last_at,
            timeout_seconds=record.timeout_seconds,
            status="processed",
            metadata=record.metadata,
            summary=record.summary,
            messages=_messages(await self._vectors.read_messages(owner, session_id)),
        )


def _messages(stored: Iterable[StoredMessage]) -> tuple[MessageItem, ...]:
    return tuple(
        MessageItem.model_construct(
            **dict(one.message), id=one.id, at=one.at, partial=one.partial, parent=one.parent, exchange=one.exchange
        )
        for one in stored
    )
