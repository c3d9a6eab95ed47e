"""Part of the vector store: deleting for good what is remembered of a user or of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Session
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.engine import Where
from recallr_litellm.stores.vectors.schema import Kind

_COUNTED = (Kind.SESSION, Kind.TURN, Kind.MEMORY)
_OF_SESSIONS = (*_COUNTED, Kind.EXTRACTION, Kind.CONFLICT)


class Remembered(NamedTuple):
    """How much there is of a user, or of a session."""

    sessions: int
    """Processed ones."""
    messages: int
    memories: int


class Forgetting(OpenedCollection):
    """What is deleted here is deleted from every collection of the store."""

    async def count_remembered(self, owner: Owner, session_id: str | None = None) -> Remembered:
        """How much there is of a user, or of one of its sessions."""
        of_session = {} if session_id is None else {schema.SESSION: session_id}
        first = {Kind.TURN: [schema.FIRST]}
        wheres = [Where(owner, kind, of_session, having=first.get(kind, ())) for kind in _COUNTED]
        return Remembered(*[await self._engine.count(where) for where in wheres])

    async def delete_session(self, owner: Owner, session_id: str) -> None:
        """Delete a processed session: its messages, its summary, what was extracted from it, its conflicts, and the
        memories that name it as theirs."""
        for kind in _OF_SESSIONS:
            await self._delete(Where(owner, kind, {schema.SESSION: session_id}))

    async def delete_messages(self, owner: Owner, session_id: str) -> None:
        """Delete of a processed session its messages and its summary only."""
        for kind in (Kind.SESSION, Kind.TURN):
            await self._delete(Where(owner, kind, {schema.SESSION: session_id}))

    async def delete_memories(self, owner: Owner, ids: Sequence[str]) -> int:
        """Delete memories by their ids. Returns how many of them this user had."""
        where = Where(owner, Kind.MEMORY, ids=[points.point_id(owner, Kind.MEMORY, id) for id in ids])
        found = await self._engine.count(where) if ids else 0
        if found:
            await self._delete(where)
        return found

    async def delete_user(self, owner: Owner) -> None:
        """Delete the record of a user, by its id: nobody can find it by its name any more."""
        await self._delete(Where(owner, Kind.USER))

    async def delete_all_of(self, owner: Owner) -> None:
        """Delete all that there is of a user."""
        for kind in Kind:
            if kind is not Kind.META:
                await self._delete(Where(owner, kind))

    async def sessions_until(self, owner: Owner, at: int, n: int) -> list[Session]:
        """Up to `n` ≥ 1 processed sessions of this user that were last used at or before a time, in any order."""
        found, _ = await self._engine.scroll(Where(owner, Kind.SESSION, until=at), n, fields=[schema.RECORD])
        return [points.record_of(point.payload, Session) for point in found]
