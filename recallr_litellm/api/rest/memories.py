"""Routes of memories and of their conflicts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel

from recallr_litellm.api.rest.access import IdInPath, OwnerOfPath, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.api.rest.values import IdempotencyKey, Limit, Offset, SessionMetadataFilter, as_text, moment
from recallr_litellm.core.records import Memory
from recallr_litellm.errors import ConflictNotFound
from recallr_litellm.services.memories import MemoryDetails

router = project_router()

WithVersions = Annotated[bool, Query(description="Tell what each memory said before.")]
WithConnected = Annotated[bool, Query(description="Tell what each memory is connected with.")]


class MemoryVersion(BaseModel):
    """What a memory said before."""

    memory_id: str
    version_number: int
    content: str
    event_date_start: datetime
    event_date_end: datetime
    created_at: datetime
    expired_at: datetime
    expiration_reason: str
    merge_conflict_id: str | None = None


class ConnectedMemory(BaseModel):
    """What a memory is connected with."""

    memory_id: str
    content: str


class MemoryResponse(BaseModel):
    """A memory in one of its versions."""

    memory_id: str
    categories: list[str]
    content: str
    event_date_start: datetime
    event_date_end: datetime
    created_at: datetime
    version_number: int
    total_versions: int
    has_previous_versions: bool
    previous_versions: list[MemoryVersion] | None = None
    connected_memories: list[ConnectedMemory] | None = None
    merge_conflict_in_progress: bool
    merge_conflict_id: str | None = None
    expired_at: datetime | None = None
    expiration_reason: str | None = None
    session_id: str

    @classmethod
    def of(cls, details: MemoryDetails, *, versions: bool, connected: bool) -> MemoryResponse:
        """As the API says it."""
        memory = details.memory
        began, ended = _event(memory)
        return cls(
            memory_id=memory.id,
            categories=[as_text(name) for name in memory.categories],
            content=as_text(memory.content),
            event_date_start=began,
            event_date_end=ended,
            created_at=moment(memory.created_at),
            version_number=details.number,
            total_versions=details.total,
            has_previous_versions=details.total > 1,
            previous_versions=[_version(n, one) for n, one in enumerate(details.previous, 1)] if versions else None,
            connected_memories=[
                ConnectedMemory(memory_id=one.id, content=as_text(one.content)) for one in details.connected
            ]
            if connected
            else None,
            merge_conflict_in_progress=memory.conflict is not None and memory.expired_at is None,
            merge_conflict_id=memory.conflict,
            expired_at=None if memory.expired_at is None else moment(memory.expired_at),
            expiration_reason=memory.expiration_reason,
            session_id=memory.session,
        )


class MemoryList(BaseModel):
    """Some memories of a user."""

    items: list[MemoryResponse]
    total: int
    has_more: bool


class ConflictStatus(StrEnum):
    """How far a conflict has come."""

    PENDING = "PENDING"
    IN_QUEUE = "IN_QUEUE"
    RESOLVING = "RESOLVING"
    RESOLVED = "RESOLVED"
    FAILED = "FAILED"


class ConflictList(BaseModel):
    """Some conflicts of a user."""

    conflicts: list[dict[str, Any]]
    total: int
    has_more: bool


class QuestionAnswer(BaseModel):
    """What the user answered to a question."""

    question: str
    answer: str
    message: str | None = None


class Answers(BaseModel):
    """What the user answered to the questions of a conflict."""

    question_answers: list[QuestionAnswer]


class Resolution(BaseModel):
    """How a conflict is to be resolved."""

    answers: Answers


@router.get("/users/{user_id}/memories", responses=documented(400, 404))
async def list_memories(
    owner: OwnerOfPath,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 20,
    categories: Annotated[list[str] | None, Query()] = None,
    session_id_filter: Annotated[list[str] | None, Query()] = None,
    session_metadata_filter: SessionMetadataFilter = None,
    include_previous_versions: WithVersions = True,
    include_connected_memories: WithConnected = True,
) -> MemoryList:
    """What is known of a user now, told last first."""
    found, total = await services.memories.page(
        owner,
        offset=offset,
        limit=limit,
        categories=categories or (),
        sessions=session_id_filter or (),
        session_metadata=session_metadata_filter,
    )
    return MemoryList(
        items=[
            MemoryResponse.of(one, versions=include_previous_versions, connected=include_connected_memories)
            for one in found
        ],
        total=total,
        has_more=offset + len(found) < total,
    )


@router.get("/users/{user_id}/memory/{memory_id}", responses=documented(404))
async def get_memory(
    owner: OwnerOfPath,
    memory_id: IdInPath,
    services: TheServices,
    include_previous_versions: WithVersions = True,
    include_connected_memories: WithConnected = True,
) -> MemoryResponse:
    """One memory, by the id of any of its versions."""
    found = await services.memories.get(owner, memory_id)
    return MemoryResponse.of(found, versions=include_previous_versions, connected=include_connected_memories)


@router.delete("/users/{user_id}/memory/{memory_id}", status_code=204, responses=documented(404))
async def delete_memory(
    owner: OwnerOfPath, memory_id: IdInPath, services: TheServices, delete_previous_versions: bool = False
) -> None:
    """Delete a version of a memory; with the current one, all versions."""
    await services.memories.delete(owner, memory_id, previous=delete_previous_versions)


@router.get("/users/{user_id}/merge-conflicts", responses=documented(404))
async def list_conflicts(
    owner: OwnerOfPath,
    offset: Offset = 0,
    limit: Limit = 10,
    status: ConflictStatus | None = None,
    sort_by: Literal["created_at", "resolved_at"] = "created_at",
    sort_order: Literal["asc", "desc"] = "desc",
) -> ConflictList:
    """Conflicts of a user's memories. There are none."""
    return ConflictList(conflicts=[], total=0, has_more=False)


@router.get("/users/{user_id}/merge-conflicts/{conflict_id}", responses=documented(404))
async def get_conflict(owner: OwnerOfPath, conflict_id: IdInPath) -> dict[str, Any]:
    """One conflict."""
    raise ConflictNotFound(f"Merge conflict {conflict_id} not found")


@router.post("/users/{user_id}/merge-conflicts/{conflict_id}/resolve", responses=documented(400, 404))
async def resolve_conflict(
    owner: OwnerOfPath, conflict_id: IdInPath, resolution: Resolution, idempotency_key: IdempotencyKey = None
) -> dict[str, Any]:
    """Answer the questions of a conflict."""
    raise ConflictNotFound(f"Merge conflict {conflict_id} not found")


def _version(number: int, memory: Memory) -> MemoryVersion:
    began, ended = _event(memory)
    return MemoryVersion(
        memory_id=memory.id,
        version_number=number,
        content=as_text(memory.content),
        event_date_start=began,
        event_date_end=ended,
        created_at=moment(memory.created_at),
        expired_at=moment(memory.expired_at or memory.created_at),
        expiration_reason=memory.expiration_reason or memory.reason,
        merge_conflict_id=memory.conflict,
    )


def _event(memory: Memory) -> tuple[datetime, datetime]:
    """When what it says happened; where it is tied to no time, when it was told."""
    began = memory.created_at if memory.event_start is None else memory.event_start
    return moment(began), moment(began if memory.event_end is None else memory.event_end)
