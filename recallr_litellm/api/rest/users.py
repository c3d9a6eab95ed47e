"""Routes of users."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

from recallr_litellm.api.rest.access import OwnerOfPath, ProjectOfKey, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.api.rest.values import IdempotencyKey, Limit, Metadata, MetadataFilter, Offset, as_text, moment
from recallr_litellm.core.knowledge import Attribute
from recallr_litellm.recall.profile import ProfileLine
from recallr_litellm.request_headers import UserId
from recallr_litellm.services.users import UserDetails
from recallr_litellm.stores.vectors.users import UserOrder

router = project_router()


class UserResponse(BaseModel):
    """A user."""

    custom_user_id: str
    metadata: dict[str, Any]
    merge_conflict_enabled: bool | None
    created_at: datetime
    last_active_at: datetime

    @classmethod
    def of(cls, details: UserDetails) -> UserResponse:
        """As the API says it."""
        user = details.user
        return cls(
            custom_user_id=user.user,
            metadata=user.metadata,
            merge_conflict_enabled=user.merge_conflict_enabled,
            created_at=moment(user.created_at),
            last_active_at=moment(details.last_active_at),
        )


class NewUser(BaseModel):
    """A user to make."""

    custom_user_id: UserId
    metadata: Metadata = Field(default_factory=dict)
    merge_conflict_enabled: bool | None = None


class UserChange(BaseModel):
    """What is to be changed of a user. What is not sent stays."""

    new_custom_user_id: UserId | None = None
    new_metadata: Metadata | None = None
    merge_conflict_enabled: bool | None = None


class UserList(BaseModel):
    """Some users of a project."""

    users: list[UserResponse]
    total: int
    has_more: bool


class ProfileLineResponse(BaseModel):
    """A memory in the profile of a user."""

    memory_id: str
    content: str
    attribute: Attribute
    pinned: bool
    disputed: str | None = Field(None, description="What else was said that cannot be true as well.")
    told_at: datetime
    session_id: str
    message_ids: list[str] = Field(description="The messages that it rests on.")

    @classmethod
    def of(cls, line: ProfileLine) -> ProfileLineResponse:
        """As the API says it."""
        memory = line.memory
        return cls(
            memory_id=memory.id,
            content=as_text(memory.content),
            attribute=memory.attribute,
            pinned=memory.pinned,
            disputed=as_text(line.disputed) or None,
            told_at=moment(memory.created_at),
            session_id=memory.session,
            message_ids=list(memory.sources),
        )


class ProfileResponse(BaseModel):
    """What is always shown of a user, the most important first."""

    lines: list[ProfileLineResponse]


@router.post("/users", status_code=201, responses=documented(409))
async def create_user(
    project: ProjectOfKey, user: NewUser, services: TheServices, idempotency_key: IdempotencyKey = None
) -> UserResponse:
    """Make a user."""
    made = await services.users.create(
        project,
        user.custom_user_id,
        metadata=user.metadata,
        merge_conflict_enabled=user.merge_conflict_enabled,
        key=idempotency_key,
    )
    return UserResponse.of(made)


@router.get("/users")
async def list_users(
    project: ProjectOfKey,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 10,
    metadata_filter: MetadataFilter = None,
    search: Annotated[str, Query(max_length=256, description="Only users with this in their id, in any case.")] = "",
    order: Annotated[
        UserOrder, Query(description="For `last_seen`, the last minutes may not count yet.")
    ] = UserOrder.CREATED,
) -> UserList:
    """Users of the project."""
    page = await services.users.list(
        project, offset=offset, limit=limit, metadata=metadata_filter, part=search, order=order
    )
    return UserList(
        users=[UserResponse.of(user) for user in page.users],
        total=page.total,
        has_more=offset + len(page.users) < page.total,
    )


@router.get("/users/{user_id}", responses=documented(404))
async def get_user(owner: OwnerOfPath, services: TheServices) -> UserResponse:
    """One user."""
    return UserResponse.of(await services.users.get(owner))


@router.get("/users/{user_id}/profile", responses=documented(404))
async def get_profile(owner: OwnerOfPath, services: TheServices) -> ProfileResponse:
    """What is always shown of a user; nothing where `profile_tokens` of the project are 0."""
    lines = await services.profiles.lines(owner, now=datetime.now(UTC))
    return ProfileResponse(lines=[ProfileLineResponse.of(line) for line in lines])


@router.put("/users/{user_id}", responses=documented(404, 409))
async def update_user(owner: OwnerOfPath, change: UserChange, services: TheServices) -> UserResponse:
    """Rename a user, or replace its metadata."""
    changed = await services.users.update(
        owner,
        name=change.new_custom_user_id,
        metadata=change.new_metadata,
        merge_conflict_enabled=change.merge_conflict_enabled,
    )
    return UserResponse.of(changed)


@router.delete("/users/{user_id}", status_code=204, responses=documented(404))
async def forget_user(owner: OwnerOfPath, services: TheServices) -> None:
    """Forget a user: its sessions, messages and memories are deleted for good."""
    await services.users.forget(owner)
