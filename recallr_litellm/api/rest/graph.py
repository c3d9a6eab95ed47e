"""Routes of entities, and of the graph of memories, entities and sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from recallr_litellm.api.rest.access import OwnerOfPath, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.api.rest.values import Limit, Offset, as_text, moment
from recallr_litellm.core.entities import Entity
from recallr_litellm.core.knowledge import EntityKind
from recallr_litellm.core.records import Memory, Session
from recallr_litellm.services.graph import EdgeKind

router = project_router()

_MOST_IDS = 50


class EntityResponse(BaseModel):
    """Somebody or something that memories speak of."""

    entity_id: str
    name: str
    kind: EntityKind
    aliases: list[str]
    mentions: int
    memory_ids: list[str]
    first_seen: datetime
    last_seen: datetime

    @classmethod
    def of(cls, entity: Entity) -> EntityResponse:
        """As the API says it."""
        return cls(
            entity_id=entity.id,
            name=as_text(entity.name),
            kind=entity.kind,
            aliases=[as_text(name) for name in entity.aliases],
            mentions=len(entity.memories),
            memory_ids=list(entity.memories[:_MOST_IDS]),
            first_seen=moment(entity.first_seen),
            last_seen=moment(entity.last_seen),
        )


class EntityList(BaseModel):
    """Some entities of a user."""

    items: list[EntityResponse]
    total: int
    has_more: bool


class MemoryNode(BaseModel):
    """A memory, or an earlier version of one."""

    memory_id: str
    content: str
    categories: list[str]
    session_id: str
    created_at: datetime
    event_date_start: datetime | None
    event_date_end: datetime | None
    expired_at: datetime | None

    @classmethod
    def of(cls, memory: Memory) -> MemoryNode:
        """As the API says it."""
        return cls(
            memory_id=memory.id,
            content=as_text(memory.content),
            categories=[as_text(name) for name in memory.categories],
            session_id=memory.session,
            created_at=moment(memory.created_at),
            event_date_start=None if memory.event_start is None else moment(memory.event_start),
            event_date_end=None if memory.event_end is None else moment(memory.event_end),
            expired_at=None if memory.expired_at is None else moment(memory.expired_at),
        )


class SessionNode(BaseModel):
    """A session that memories come from."""

    session_id: str
    summary: str
    created_at: datetime
    last_at: datetime

    @classmethod
    def of(cls, session: Session) -> SessionNode:
        """As the API says it."""
        return cls(
            session_id=session.id,
            summary=as_text(session.summary),
            created_at=moment(session.created_at),
            last_at=moment(session.last_at),
        )


class GraphEdge(BaseModel):
    """What leads from one to the other, by their ids."""

    source: str
    target: str
    kind: EdgeKind


class GraphResponse(BaseModel):
    """Some memories of a user, the entities and sessions that they lead to, and the edges between all of these."""

    memories: list[MemoryNode]
    entities: list[EntityResponse]
    sessions: list[SessionNode]
    edges: list[GraphEdge]
    total: int
    has_more: bool


@router.get("/users/{user_id}/entities", responses=documented(404))
async def list_entities(
    owner: OwnerOfPath,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 50,
    name: Annotated[str, Query(max_length=256, description="Only those with this in their name.")] = "",
) -> EntityList:
    """Who and what a user's memories speak of, those that most memories speak of first."""
    found, total = await services.graph.entities(owner, offset=offset, limit=limit, name=name)
    return EntityList(
        items=[EntityResponse.of(one) for one in found], total=total, has_more=offset + len(found) < total
    )


@router.get("/users/{user_id}/graph", responses=documented(404))
async def get_graph(
    owner: OwnerOfPath,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 100,
    entity_id: Annotated[str | None, Query(description="Only memories that speak of this entity.")] = None,
    include_past: Annotated[bool, Query(description="With earlier versions, and what is no longer true.")] = False,
) -> GraphResponse:
    """How a user's memories hang together: a page of them, told last first, with all that they lead to."""
    view = await services.graph.view(owner, offset=offset, limit=limit, entity=entity_id, past=include_past)
    return GraphResponse(
        memories=[MemoryNode.of(one) for one in view.memories],
        entities=[EntityResponse.of(one) for one in view.entities],
        sessions=[SessionNode.of(one) for one in view.sessions],
        edges=[GraphEdge(source=one.source, target=one.target, kind=one.kind) for one in view.edges],
        total=view.total,
        has_more=offset + len(view.memories) < view.total,
    )
