"""Part of the vector store: what learning reads and writes. Extractions, versions of memories, conflicts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from recallr_litellm.core.facts import Extraction, Fact, Unlearned
from recallr_litellm.core.knowledge import USER, Attribute, Conflict, ConflictStatus
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory, Session, Vector
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.engine import Nearest, Where
from recallr_litellm.stores.vectors.schema import Kind

_NEAREST = 12
"""Memories near a fact that are looked at."""
_ENDED = 4
_ABOUT = 24
"""Memories about each thing that a fact speaks of: hubs such as the user's home town have hundreds."""


class Knowledge(OpenedCollection):
    """What learning needs."""

    async def keep_extraction(self, owner: Owner, extraction: Extraction) -> None:
        """Keep what a window said; one that is there is replaced."""
        await self._engine.upsert([points.extraction_point(owner, extraction)])

    async def get_extraction(self, owner: Owner, session_id: str, window: str) -> Extraction | None:
        """What one window of a session said."""
        payload = await self._get(owner, Kind.EXTRACTION, session_id, window)
        return points.record_of(payload, Extraction) if payload else None

    async def extractions(self, owner: Owner, session_id: str | None = None) -> list[Extraction]:
        """All that was extracted from a session, or from any, in no order."""
        where = Where(owner, Kind.EXTRACTION, {} if session_id is None else {schema.SESSION: session_id})
        return [points.record_of(payload, Extraction) for payload in await self._all(where, [schema.RECORD])]

    async def delete_extracted(self, owner: Owner, unlearned: Unlearned) -> None:
        """Delete from all that was extracted what goes with a deleted version of a memory."""
        payloads = await self._all(Where(owner, Kind.EXTRACTION), [schema.RECORD])
        for extraction in (points.record_of(payload, Extraction) for payload in payloads):
            left = unlearned.left_of(extraction)
            if left != extraction:
                await self.keep_extraction(owner, left)

    async def memories_near(self, owner: Owner, fact: Fact, dense: Vector) -> list[Memory]:
        """Current memories that a fact may concern: the nearest by meaning, and those about what it speaks of."""
        current = Where(owner, Kind.MEMORY, lacking=(schema.PAST,))
        [near] = await self._engine.query([Nearest(dense, current, _NEAREST, fields=(schema.RECORD,))])
        found = {str(one.id): points.record_of(one.payload, Memory) for one in near}
        for value in points.about(fact.subject, fact.attribute, fact.entities):
            where = Where(owner, Kind.MEMORY, {schema.ABOUT: value}, lacking=(schema.PAST,))
            some, _ = await self._engine.scroll(where, _ABOUT, fields=[schema.RECORD])
            found |= {one.id: points.record_of(one.payload, Memory) for one in some}
        return list({memory.id: memory for memory in found.values()}.values())

    async def ended_near(self, owner: Owner, dense: Vector) -> list[Memory]:
        """The memories nearest by meaning of those that a person has declared to be no longer true."""
        ended = Where(owner, Kind.MEMORY, having=(schema.PAST,), lacking=(schema.CHAIN,))
        [near] = await self._engine.query([Nearest(dense, ended, _ENDED, fields=(schema.RECORD,))])
        return [points.record_of(one.payload, Memory) for one in near]

    async def memories_of_user(
        self,
        owner: Owner,
        attributes: Collection[Attribute],
        *,
        pinned: bool,
        n: int,
        exclude_sessions: Collection[str] = (),
    ) -> list[Memory]:
        """The `n` ≥ 1 current memories told last that say one of these things about the user, in no order.

        Args:
            pinned: those that a person has pinned, too, whatever they say of whom.
        """
        values = [value for attribute in attributes for value in points.about(USER, attribute, ())]
        wanted = [*values, *([schema.PINNED] if pinned else [])]
        where = Where(owner, Kind.MEMORY, about=wanted, lacking=(schema.PAST,), exclude_sessions=exclude_sessions)
        found, _ = await self._engine.scroll(where, n, fields=[schema.RECORD], newest_first=True)
        return [points.record_of(one.payload, Memory) for one in found]

    async def versions(self, owner: Owner, memory_ids: Sequence[str]) -> dict[str, list[Memory]]:
        """Earlier versions of some memories, oldest first."""
        found: dict[str, list[Memory]] = {id: [] for id in memory_ids}
        if found:
            payloads = await self._all(Where(owner, Kind.MEMORY, chains=list(found)), [schema.RECORD])
            records = [points.record_of(payload, Memory) for payload in payloads]
            for version in sorted(records, key=lambda one: (one.created_at, one.expired_at or 0, one.id)):
                found[version.chain].append(version)
        return found

    async def update_memories(self, owner: Owner, memories: Sequence[Memory]) -> None:
        """Write all of some memories but their texts, which must be those that are there: no vector changes."""
        for memory in memories:
            where = Where(owner, Kind.MEMORY, ids=[points.point_id(owner, Kind.MEMORY, memory.id)])
            await self._engine.set_fields(where, points.memory_payload(owner, memory), only=True)

    async def put_conflict(self, owner: Owner, conflict: Conflict, *, keep_existing: bool = False) -> None:
        """Write a conflict.

        Args:
            keep_existing: one that is there stays as it is.
        """
        await self._engine.upsert([points.conflict_point(owner, conflict)], keep_existing=keep_existing)

    async def get_conflict(self, owner: Owner, conflict_id: str) -> Conflict | None:
        """A conflict of this user; another user's is None."""
        payload = await self._get(owner, Kind.CONFLICT, conflict_id)
        return points.record_of(payload, Conflict) if payload else None

    async def conflicts(self, owner: Owner, status: ConflictStatus | None = None) -> list[Conflict]:
        """The user's conflicts, newest first."""
        payloads = await self._all(Where(owner, Kind.CONFLICT), [schema.RECORD])
        records = [points.record_of(payload, Conflict) for payload in payloads]
        chosen = [one for one in records if status is None or one.status is status]
        return sorted(chosen, key=lambda one: (-one.created_at, one.id))

    async def delete_conflicts(self, owner: Owner, ids: Sequence[str]) -> None:
        """Delete conflicts by their ids."""
        of_ids = [points.point_id(owner, Kind.CONFLICT, id) for id in ids]
        if of_ids:
            await self._delete(Where(owner, Kind.CONFLICT, ids=of_ids))

    async def unlearned_sessions(self, owner: Owner) -> list[Session]:
        """Processed sessions that nothing was learned from, oldest first."""
        where = Where(owner, Kind.SESSION, lacking=(schema.LEARNED,))
        sessions = [points.record_of(payload, Session) for payload in await self._all(where, [schema.RECORD])]
        return sorted(sessions, key=lambda session: (session.last_at, session.id))

    async def count_unlearned(self, owner: Owner) -> int:
        """How many processed sessions there are that nothing was learned from."""
        return await self._engine.count(Where(owner, Kind.SESSION, lacking=(schema.LEARNED,)))

    async def mark_learned(self, owner: Owner, session_id: str) -> None:
        """Note that a session was learned. Writing the session again takes the mark off."""
        where = Where(owner, Kind.SESSION, {schema.SESSION: session_id})
        await self._engine.set_fields(where, {schema.LEARNED: True})
