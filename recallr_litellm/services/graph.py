"""How a user's memories hang together: entities, and the graph of memories, entities and sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from recallr_litellm.core.entities import Entity, entities_of, name_key
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory, Session
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.tasks import give_way


class EdgeKind(StrEnum):
    """What an edge of the graph says."""

    SPEAKS_OF = "speaks_of"
    """A memory of an entity."""
    FROM = "from"
    """A memory comes from a session."""
    CONNECTED = "connected"
    """Two memories."""
    BEFORE = "before"
    """An earlier version of a memory."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Of the graph, by the ids of its ends."""

    source: str
    target: str
    kind: EdgeKind


@dataclass(frozen=True, slots=True)
class GraphView:
    """A part of the graph: some memories, and all that they lead to."""

    memories: Sequence[Memory]
    entities: Sequence[Entity]
    sessions: Sequence[Session]
    edges: Sequence[Edge]
    total: int
    """Memories that there are."""


class Graph:
    """Reads the graph of one owner at a time. Nothing of it is stored but memories and sessions."""

    def __init__(self, vectors: VectorStore) -> None:
        self._vectors = vectors

    async def entities(self, owner: Owner, *, offset: int, limit: int, name: str = "") -> tuple[list[Entity], int]:
        """Some of the entities, those that most memories speak of first; and how many there are.

        Args:
            name: only those with this in their name, in any case; "" for all.
        """
        wanted = name_key(name)
        every = await asyncio.to_thread(entities_of, await self._memories(owner))
        found = [one for one in every if wanted in name_key(one.name)]
        return found[offset : offset + limit], len(found)

    async def spoken_of(self, owner: Owner) -> tuple[list[Entity], list[str]]:
        """All entities, those that most memories speak of first; and all categories of memories, by the alphabet. In
        one reading of them."""
        known = await self._memories(owner)
        categories = {name for memory in known if not memory.chain for name in memory.categories}
        return await asyncio.to_thread(entities_of, known), sorted(categories)

    async def view(
        self, owner: Owner, *, offset: int, limit: int, entity: str | None = None, past: bool = False
    ) -> GraphView:
        """Some of the memories, told last first, with the entities and sessions that they lead to.

        Args:
            entity: id of an entity: only memories that speak of it.
            past: with what is no longer true, and earlier versions.
        """
        known = await self._memories(owner)
        await give_way()
        chosen, entities = await asyncio.to_thread(_chosen, known, entity, past=past)
        shown = chosen[offset : offset + limit]
        sessions = await self._vectors.get_sessions(owner, {memory.session for memory in shown})
        await give_way()
        led_to, edges = await asyncio.to_thread(_led_to, shown, entities, sessions)
        return GraphView(shown, led_to, sessions, edges, len(chosen))

    async def _memories(self, owner: Owner) -> list[Memory]:
        return [memory async for memory in self._vectors.each_memory(owner)]


def _chosen(known: Sequence[Memory], entity: str | None, *, past: bool) -> tuple[list[Memory], list[Entity]]:
    """The memories that are asked for, told last first; and all entities."""
    entities = entities_of(known)
    speaking = {id for one in entities if one.id == entity for id in one.memories}
    chosen = [
        memory
        for memory in known
        if (past or memory.expired_at is None) and (entity is None or (memory.chain or memory.id) in speaking)
    ]
    return sorted(chosen, key=lambda memory: (-memory.created_at, memory.id)), entities


def _led_to(
    shown: Sequence[Memory], entities: Sequence[Entity], sessions: Sequence[Session]
) -> tuple[list[Entity], list[Edge]]:
    """The entities that memories lead to, and all edges."""
    chains = {memory.chain or memory.id for memory in shown}
    led_to = [one for one in entities if not chains.isdisjoint(one.memories)]
    return led_to, _edges(shown, led_to, sessions)


def _edges(memories: Sequence[Memory], entities: Sequence[Entity], sessions: Sequence[Session]) -> list[Edge]:
    """Those with both ends among what is shown."""
    shown = {memory.id for memory in memories}
    known = {session.id for session in sessions}
    edges = [Edge(id, one.id, EdgeKind.SPEAKS_OF) for one in entities for id in one.memories if id in shown]
    edges += [Edge(one.id, one.session, EdgeKind.FROM) for one in memories if one.session in known]
    edges += [Edge(one.id, one.chain, EdgeKind.BEFORE) for one in memories if one.chain in shown]
    pairs = {tuple(sorted((one.id, id))) for one in memories if not one.chain for id in one.connected if id in shown}
    return edges + [Edge(one, other, EdgeKind.CONNECTED) for one, other in sorted(pairs)]
