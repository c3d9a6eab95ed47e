"""Routes of memories."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from recallr_litellm.api.rest.access import IdInPath, OwnerOfPath, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.api.rest.values import Limit, Offset, SessionMetadataFilter, as_text, moment
from recallr_litellm.core.knowledge import Origin
from recallr_litellm.core.records import Memory
from recallr_litellm.services.memories import MemoryDetails, MemoryState

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
    pinned: bool
    by_hand: bool

    @classmethod
    def of(cls, details: MemoryDetails, *, versions: bool, connected: bool) -> MemoryResponse:
        """As the API says it."""
        memory = details.memory
        began, ended = event_of(memory)
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
            pinned=memory.pinned,
            by_hand=memory.origin is Origin.BY_HAND,
        )


IfVersion = Annotated[
    int | None, Query(ge=1, description="Only if the current version of the memory has this number; 409 otherwise.")
]


class MemoryList(BaseModel):
    """Some memories of a user."""

    items: list[MemoryResponse]
    total: int
    has_more: bool


class Correction(BaseModel):
    """What a person changes of a memory: one thing at a time."""

    model_config = ConfigDict(extra="forbid")

    content: Annotated[str, Field(min_length=1, max_length=2_000)] | None = Field(
        None, description="What it says from now on: a version by hand, which learning does not overwrite."
    )
    version: str | None = Field(None, description="Id of an earlier version that it says again.")
    invalid: Literal[True] | None = Field(None, description="It is no longer true.")
    pinned: bool | None = Field(None, description="Whether it is kept as it is, whatever is learned.")

    @model_validator(mode="after")
    def _one(self) -> Correction:
        if len(self.model_fields_set) != 1 or None in self.model_dump(exclude_unset=True).values():
            raise ValueError("give one of content, version, invalid, pinned")
        return self


@router.get("/users/{user_id}/memories", responses=documented(400, 404))
async def list_memories(
    owner: OwnerOfPath,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 20,
    categories: Annotated[list[str] | None, Query()] = None,
    session_id_filter: Annotated[list[str] | None, Query()] = None,
    session_metadata_filter: SessionMetadataFilter = None,
    state: Annotated[
        MemoryState, Query(description="What is held to be true now, what no longer is, or both.")
    ] = MemoryState.CURRENT,
    search: Annotated[str, Query(max_length=1_000, description="Only what says this, in any case.")] = "",
    include_previous_versions: WithVersions = True,
    include_connected_memories: WithConnected = True,
) -> MemoryList:
    """What is known of a user, told last first."""
    found, total = await services.memories.page(
        owner,
        offset=offset,
        limit=limit,
        categories=categories or (),
        sessions=session_id_filter or (),
        session_metadata=session_metadata_filter,
        state=state,
        search=search,
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


@router.delete("/users/{user_id}/memory/{memory_id}", status_code=204, responses=documented(404, 409))
async def delete_memory(
    owner: OwnerOfPath,
    memory_id: IdInPath,
    services: TheServices,
    delete_previous_versions: bool = False,
    if_version: IfVersion = None,
) -> None:
    """Delete a version of a memory. Of the current one, the version before it is the current one again, unless the
    previous versions go too."""
    await services.memories.delete(owner, memory_id, previous=delete_previous_versions, seen=if_version)


@router.patch("/users/{user_id}/memory/{memory_id}", responses=documented(404, 409))
async def correct_memory(
    owner: OwnerOfPath,
    memory_id: IdInPath,
    correction: Correction,
    services: TheServices,
    if_version: IfVersion = None,
) -> MemoryResponse:
    """Correct a memory by hand."""
    memories = services.memories
    if correction.content is not None:
        found = await memories.edit(owner, memory_id, correction.content, seen=if_version)
    elif correction.version is not None:
        found = await memories.revert(owner, memory_id, correction.version, seen=if_version)
    elif correction.pinned is not None:
        found = await memories.pin(owner, memory_id, pinned=correction.pinned, seen=if_version)
    else:
        found = await memories.invalidate(owner, memory_id, seen=if_version)
    return MemoryResponse.of(found, versions=True, connected=True)


def _version(number: int, memory: Memory) -> MemoryVersion:
    began, ended = event_of(memory)
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


def event_of(memory: Memory) -> tuple[datetime, datetime]:
    """When what it says happened; where it is tied to no time, when it was told."""
    began = memory.created_at if memory.event_start is None else memory.event_start
    return moment(began), moment(began if memory.event_end is None else memory.event_end)
