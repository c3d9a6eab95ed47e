"""Part of the vector store: processed sessions and their messages, memories, by what names them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Final

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory, Passage, Session, Span, Turn
from recallr_litellm.errors import VectorsRefused
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.candidates import gone_on_in
from recallr_litellm.stores.vectors.engine import Payload, Point, Where
from recallr_litellm.stores.vectors.schema import Kind

_PAGE: Final = 256
"""Memories read in one call."""


class Records(OpenedCollection):
    """Writing, reading and listing records."""

    async def get_session(self, owner: Owner, session_id: str) -> Session | None:
        """A processed session of this user; another user's is None."""
        payload = await self._get(owner, Kind.SESSION, session_id)
        return points.record_of(payload, Session) if payload else None

    async def get_sessions(self, owner: Owner, ids: Collection[str]) -> list[Session]:
        """Those of these processed sessions that this user has, begun last first."""
        found = await self._all(Where(owner, Kind.SESSION, sessions=ids), [schema.RECORD]) if ids else []
        sessions = [points.record_of(payload, Session) for payload in found]
        return sorted(sessions, key=lambda session: (-session.created_at, session.id))

    async def describe_session(self, owner: Owner, session: Session) -> None:
        """Replace the record of a processed session that is there, and nothing else of it."""
        where = Where(owner, Kind.SESSION, ids=[points.point_id(owner, Kind.SESSION, session.id)])
        await self._engine.set_fields(where, {schema.RECORD: session.model_dump_json()})

    async def count_sessions(self, owner: Owner, *, exclude: Collection[str] = ()) -> int:
        """How many processed sessions there are besides these."""
        return await self._engine.count(Where(owner, Kind.SESSION, exclude_sessions=exclude))

    async def count_messages(self, owner: Owner, *, exclude_sessions: Collection[str] = ()) -> int:
        """How many messages of processed sessions there are."""
        where = Where(owner, Kind.TURN, having=[schema.FIRST], exclude_sessions=exclude_sessions)
        return await self._engine.count(where)

    async def each_memory(self, owner: Owner) -> AsyncIterator[Memory]:
        """All memories, in no order."""
        after, begun = None, False
        while not begun or after is not None:
            begun = True
            page, after = await self._engine.scroll(
                Where(owner, Kind.MEMORY), _PAGE, fields=[schema.RECORD], after=after
            )
            for point in page:
                yield points.record_of(point.payload, Memory)

    async def newest_sessions(
        self, owner: Owner, n: int | None = None, *, offset: int = 0, exclude: Collection[str] = ()
    ) -> list[Session]:
        """The `n` ≥ 1 sessions that were used last, or all of them, the newest first.

        Args:
            offset: how many of the newest to leave out, where `n` is given.
        """
        where = Where(owner, Kind.SESSION, exclude_sessions=exclude)
        found, skip = await self._newest_or_all(where, offset, n)
        sessions = [points.record_of(payload, Session) for payload in found]
        return sorted(sessions, key=lambda session: (session.last_at, session.id), reverse=True)[skip:][:n]

    async def _newest_or_all(self, where: Where, offset: int, n: int | None) -> tuple[list[Payload], int]:
        if n is None:
            return await self._all(where, [schema.RECORD]), 0
        return await self._newest_after(where, offset, n, [schema.RECORD])

    async def newest_messages(
        self, owner: Owner, n: int, *, exclude_sessions: Collection[str] = ()
    ) -> list[tuple[str, StoredMessage]]:
        """At least the newest `n` ≥ 1 messages of processed sessions, each with the id of its session; in no order."""
        where = Where(owner, Kind.TURN, having=[schema.FIRST], exclude_sessions=exclude_sessions)
        found = await self._newest(where, n, [schema.SESSION, schema.RECORD])
        return [(str(payload[schema.SESSION]), points.record_of(payload, StoredMessage)) for payload in found]

    async def read_messages(self, owner: Owner, session_id: str) -> list[StoredMessage]:
        """All messages of a processed session, by position; none for a session that is not there."""
        where = Where(owner, Kind.TURN, {schema.SESSION: session_id}, having=[schema.FIRST])
        messages = [points.record_of(payload, StoredMessage) for payload in await self._all(where, [schema.RECORD])]
        return sorted(messages, key=lambda message: message.position)

    async def save_session(
        self, owner: Owner, session: Session, turns: Sequence[Turn], summary: Passage | None
    ) -> None:
        """Write a session so that it consists of exactly these turns.

        May be repeated, and interrupted anywhere and then repeated, with the same outcome. What was
        stored before is deleted last, so a reader never sees less than the old or the new session.
        The session itself is written after its turns: where `get_session` finds it, they are there.
        Its memories stay as they are.
        """
        written: list[str] = []
        for batch in points.batches(point for turn in turns for point in points.turn_points(owner, session.id, turn)):
            await self._write(batch)
            written.extend(point.id for point in batch)
        await self._engine.upsert([points.session_point(owner, session, summary)])
        await self._delete(Where(owner, Kind.TURN, {schema.SESSION: session.id}, exclude_ids=written))

    async def _write(self, batch: Sequence[Point]) -> None:
        """Write points of messages. One that Qdrant refuses loses its vectors and what is too long of its text."""
        try:
            await self._engine.upsert(batch)
        except VectorsRefused:
            if len(batch) == 1:
                await self._engine.upsert([points.reduced(batch[0])])
                return
            for point in batch:
                await self._write([point])

    async def save_memories(self, owner: Owner, memories: Sequence[tuple[Memory, Passage | None]]) -> None:
        """Write memories, each with the embeddings of `Memory.indexed_text`, or with none. One that is there by its
        id is replaced.
        """
        for batch in points.batches(points.memory_point(owner, memory, indexed) for memory, indexed in memories):
            await self._engine.upsert(batch)

    async def get_memories(
        self, owner: Owner, ids: Sequence[str], *, exclude_sessions: Collection[str] = ()
    ) -> list[Memory]:
        """Those of these memories that this user has, in the order of `ids`; one lookup for all of them."""
        if not ids:
            return []
        of_ids = [points.point_id(owner, Kind.MEMORY, id) for id in ids]
        where = Where(owner, Kind.MEMORY, ids=of_ids, exclude_sessions=exclude_sessions)
        memories = [points.record_of(payload, Memory) for payload in await self._all(where, [schema.RECORD])]
        found = {memory.id: memory for memory in memories}
        return [found[id] for id in dict.fromkeys(ids) if id in found]

    async def count_memories(self, owner: Owner, *, sessions: Collection[str] = ()) -> int:
        """How many memories there are, from these sessions or from any, without what they said before."""
        return await self._engine.count(_current(owner, sessions))

    async def memories_ever(self, owner: Owner) -> list[Memory]:
        """All memories, those that are no longer true too, without what they said before, told last first."""
        where = Where(owner, Kind.MEMORY, lacking=[schema.CHAIN])
        memories = [points.record_of(payload, Memory) for payload in await self._all(where, [schema.RECORD])]
        return sorted(memories, key=lambda memory: (memory.created_at, memory.id), reverse=True)

    async def newest_memories(
        self, owner: Owner, n: int | None = None, *, offset: int = 0, sessions: Collection[str] = ()
    ) -> list[Memory]:
        """The `n` ≥ 1 memories that were told last, or all of them, the newest first.

        Args:
            offset: how many of the newest to leave out, where `n` is given.
        """
        found, skip = await self._newest_or_all(_current(owner, sessions), offset, n)
        memories = [points.record_of(payload, Memory) for payload in found]
        return sorted(memories, key=lambda memory: (memory.created_at, memory.id), reverse=True)[skip:][:n]

    async def last_user_messages(
        self, owner: Owner, n: int, *, exclude_sessions: Collection[str]
    ) -> list[tuple[str, StoredMessage]]:
        """The newest `n` ≥ 1 messages that the user wrote, oldest first, each with the id of its session."""
        where = Where(owner, Kind.TURN, having=[schema.FROM_USER], exclude_sessions=exclude_sessions)
        found = [
            (str(payload[schema.SESSION]), points.record_of(payload, StoredMessage))
            for payload in await self._newest(where, n, [schema.SESSION, schema.RECORD])
        ]
        found.sort(key=lambda pair: (pair[1].at, pair[0], pair[1].position))
        return found[-n:]

    async def last_summaries(self, owner: Owner, n: int, *, exclude_sessions: Collection[str]) -> list[Session]:
        """The newest `n` ≥ 1 sessions that have a summary, by their last use, oldest first."""
        where = Where(owner, Kind.SESSION, having=[schema.SUMMARISED], exclude_sessions=exclude_sessions)
        sessions = [points.record_of(payload, Session) for payload in await self._newest(where, n, [schema.RECORD])]
        sessions.sort(key=lambda session: (session.last_at, session.id))
        return sessions[-n:]

    async def sessions_between(
        self, owner: Owner, within: Span, n: int, *, exclude_sessions: Collection[str]
    ) -> list[Session]:
        """Of the sessions that went on in this time the `n` ≥ 1 that ended last, oldest first."""
        where = gone_on_in(owner, within, exclude_sessions)
        found, _ = await self._engine.scroll(where, n, fields=[schema.RECORD], newest_first=True)
        sessions = [points.record_of(point.payload, Session) for point in found]
        return sorted(sessions, key=lambda session: (session.last_at, session.id))


def _current(owner: Owner, sessions: Collection[str]) -> Where:
    return Where(owner, Kind.MEMORY, sessions=sessions, lacking=[schema.PAST])
