"""What was learned of a user: its memories, with what they said before and what they are connected with."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from recallr_litellm.core.facts import Unlearned
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.errors import InvalidCategories, MemoryChanged, MemoryNotFound
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.versions import Changes, edited, invalidated, reverted, without_versions
from recallr_litellm.services.sessions import SessionService


class MemoryState(StrEnum):
    """Which memories are listed."""

    CURRENT = "current"
    """What is held to be true now."""
    EXPIRED = "expired"
    """What is no longer held to be true."""
    ALL = "all"

    def holds(self, memory: Memory) -> bool:
        """Whether a memory is one of them."""
        return self is MemoryState.ALL or (memory.expired_at is None) == (self is MemoryState.CURRENT)


@dataclass(frozen=True, slots=True)
class MemoryDetails:
    """A memory in one of its versions."""

    memory: Memory
    number: int
    """Of the version, from 1."""
    total: int
    """How many versions there are."""
    previous: Sequence[Memory]
    """What it said before, oldest first."""
    connected: Sequence[Memory]


class Memories:
    """Lists, reads, corrects and deletes memories. To a user, those of all others are unknown: `MemoryNotFound`.

    Whoever changes one may say which version is `seen` as the current one, by its number: where another is by now,
    nothing is changed, and `MemoryChanged` raised.

    Args:
        forget_explained: deletes what is kept to explain a user's requests, what is about to be kept too.
    """

    def __init__(
        self, sessions: SessionService, knowing: Knowing, *, forget_explained: Callable[[Owner], Awaitable[int]]
    ) -> None:
        self._state = knowing.state
        self._vectors = knowing.vectors
        self._forget_explained = forget_explained
        self._sessions = sessions
        self._knowing = knowing

    async def page(
        self,
        owner: Owner,
        *,
        offset: int,
        limit: int,
        categories: Collection[str] = (),
        sessions: Collection[str] = (),
        session_metadata: Mapping[str, JsonValue] | None = None,
        state: MemoryState = MemoryState.CURRENT,
        search: str = "",
    ) -> tuple[list[MemoryDetails], int]:
        """Some of the memories, told last first; and how many that is in all.

        Args:
            categories: only memories of one of these; empty for any.
            sessions: only memories that come from one of these; empty for any.
            session_metadata: only memories from sessions whose metadata has all of these values.
            search: only memories that say this, in any case.

        Raises:
            InvalidCategories: the owner has no memory of one of these.
        """
        if session_metadata:
            of_metadata = await self._sessions.ids_with(owner, session_metadata)
            sessions = [id for id in of_metadata if not sessions or id in sessions]
            if not sessions:
                return [], 0
        if categories or search or state is not MemoryState.CURRENT:
            known = await self._vectors.memories_ever(owner)
            of_state = [memory for memory in known if state.holds(memory)]
            if invalid := sorted(set(categories) - {name for memory in of_state for name in memory.categories}):
                raise InvalidCategories(invalid)
            wanted = search.casefold()
            found = [
                memory
                for memory in of_state
                if (not categories or not set(categories).isdisjoint(memory.categories))
                and (not sessions or memory.session in sessions)
                and wanted in memory.content.casefold()
            ]
            return await self._details(owner, found[offset : offset + limit]), len(found)
        total = await self._vectors.count_memories(owner, sessions=sessions)
        if offset >= total:
            return [], total
        found = await self._vectors.newest_memories(owner, limit, offset=offset, sessions=sessions)
        return await self._details(owner, found), total

    async def get(self, owner: Owner, memory_id: str) -> MemoryDetails:
        """One memory, in this version.

        Raises:
            MemoryNotFound: the owner has none of this id.
        """
        memories = await self._vectors.get_memories(owner, [memory_id])
        if not memories:
            raise MemoryNotFound(f"Memory {memory_id} not found")
        return (await self._details(owner, memories))[0]

    async def delete(self, owner: Owner, memory_id: str, *, previous: bool, seen: int | None = None) -> None:
        """Delete a version of a memory. Of the current one the version before it becomes the current one again.

        What was extracted for it goes too, so that learning the session again does not bring it back.

        Args:
            previous: what it said before this version goes too.

        Raises:
            MemoryChanged: see the class.
            MemoryNotFound: the owner has none of this id.
            Unavailable: a store does not answer: to be deleted again.
        """
        version = (await self.get(owner, memory_id)).memory
        chain = version.chain or version.id
        gone: list[Memory] = []
        whole = False

        def change(memory: Memory | None, earlier: Sequence[Memory]) -> Changes:
            nonlocal gone, whole
            versions = [*earlier, *([memory] if memory is not None else [])]
            _check_seen(memory_id, len(versions), seen)
            place = next((n for n, one in enumerate(versions) if _same_version(one, version)), None)
            if place is None:
                raise MemoryNotFound(f"Memory {memory_id} not found")
            gone = versions[0 if previous else place : place + 1]
            left = [one for one in versions if one not in gone]
            whole = not left
            unlearned = Unlearned(chain, {one.fact for one in gone}, {id for one in left for id in one.sources})
            return without_versions(memory, earlier, {one.id for one in gone})._replace(unlearned=unlearned)

        await self._knowing.change(owner, chain, change)
        await self._drop_conflicts(owner, chain, gone, whole=whole)
        await self._forget_explained(owner)  # any of them may quote it, as may blocks of open sessions
        await self._state.forget_blocks(owner)

    async def _drop_conflicts(self, owner: Owner, memory_id: str, gone: Sequence[Memory], *, whole: bool) -> None:
        """Delete the conflicts of a memory that quote what was deleted of it, and what was proposed by those that are
        not settled."""
        open_ids = {one.conflict for one in gone if not one.chain}
        dropped = [
            one
            for one in await self._vectors.conflicts(owner)
            if one.memory == memory_id
            and (whole or one.id in open_ids or (one.resolved_at and any(one.quotes(was.content) for was in gone)))
        ]
        await self._vectors.delete_conflicts(owner, [one.id for one in dropped])
        if proposed := {one.proposed for one in dropped if one.resolved_at is None}:
            async with self._knowing.alone(owner):
                await self._vectors.delete_extracted(owner, Unlearned("", proposed))

    async def edit(self, owner: Owner, memory_id: str, content: str, *, seen: int | None = None) -> MemoryDetails:
        """Say a memory in other words: a version by hand, which learning does not overwrite.

        Raises:
            MemoryChanged: see the class.
            MemoryNotFound: the owner has no current memory of this id.
        """
        return await self._correct(owner, memory_id, lambda memory, _: edited(memory, content, _now()), seen)

    async def revert(self, owner: Owner, memory_id: str, version_id: str, *, seen: int | None = None) -> MemoryDetails:
        """Make a memory say again what it said in an earlier version.

        Raises:
            MemoryChanged: see the class.
            MemoryNotFound: the owner has no current memory of this id, or that has no such version.
        """

        def change(memory: Memory, earlier: Sequence[Memory]) -> Changes:
            version = next((one for one in earlier if one.id == version_id), None)
            if version is None:
                raise MemoryNotFound(f"Memory {version_id} not found")
            return reverted(memory, version, _now())

        return await self._correct(owner, memory_id, change, seen)

    async def invalidate(self, owner: Owner, memory_id: str, *, seen: int | None = None) -> MemoryDetails:
        """Note that a memory is no longer true. It is found by questions about the past only.

        Raises:
            MemoryChanged: see the class.
            MemoryNotFound: the owner has no current memory of this id.
        """
        return await self._correct(owner, memory_id, lambda memory, _: Changes((invalidated(memory, _now()),)), seen)

    async def pin(self, owner: Owner, memory_id: str, *, pinned: bool, seen: int | None = None) -> MemoryDetails:
        """Keep a memory as it is, and in the profile, whatever else is learned; or no longer.

        Raises:
            MemoryChanged: see the class.
            MemoryNotFound: the owner has no current memory of this id.
        """
        update = {"pinned": pinned}
        return await self._correct(
            owner, memory_id, lambda memory, _: Changes((memory.model_copy(update=update),)), seen
        )

    async def _correct(
        self, owner: Owner, memory_id: str, make: Callable[[Memory, Sequence[Memory]], Changes], seen: int | None
    ) -> MemoryDetails:
        def change(memory: Memory | None, earlier: Sequence[Memory]) -> Changes:
            if memory is None or memory.chain or memory.expired_at is not None:
                raise MemoryNotFound(
                    f"Memory {memory_id} not found"
                    if memory is None
                    else f"Memory {memory_id} not found: it is an earlier version, or no longer true"
                )
            _check_seen(memory_id, len(earlier) + 1, seen)
            return make(memory, earlier)

        await self._knowing.change(owner, memory_id, change)
        return await self.get(owner, memory_id)

    async def _details(self, owner: Owner, memories: Sequence[Memory]) -> list[MemoryDetails]:
        chains = await self._vectors.versions(owner, list({memory.chain or memory.id for memory in memories}))
        wanted = list({id for memory in memories for id in memory.connected})
        connected = {memory.id: memory for memory in await self._vectors.get_memories(owner, wanted)}
        return [_details_of(memory, chains[memory.chain or memory.id], connected) for memory in memories]


def _check_seen(memory_id: str, current: int, seen: int | None) -> None:
    if seen not in (None, current):
        raise MemoryChanged(f"Memory {memory_id} has changed: version {current} is the current one by now, not {seen}")


def _same_version(one: Memory, other: Memory) -> bool:
    """Whether they are the same version, which is another record once there is a newer one."""
    return (one.content, one.created_at, one.fact) == (other.content, other.created_at, other.fact)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _details_of(memory: Memory, earlier: Sequence[Memory], connected: Mapping[str, Memory]) -> MemoryDetails:
    before = [one.id for one in earlier]
    number = before.index(memory.id) if memory.id in before else len(before)
    return MemoryDetails(
        memory,
        number + 1,
        len(earlier) + 1,
        earlier[:number],
        [connected[id] for id in memory.connected if id in connected and connected[id].expired_at is None],
    )
