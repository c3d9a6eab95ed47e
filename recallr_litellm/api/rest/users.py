"""Routes of users."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from recallr_litellm.api.rest.access import OwnerOfPath, ProjectOfKey, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.api.rest.values import Metadata, moment
from recallr_litellm.request_headers import UserId
from recallr_litellm.services.users import UserDetails

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


@router.post("/users", status_code=201, responses=documented(409))
async def create_user(project: ProjectOfKey, user: NewUser, services: TheServices) -> UserResponse:
    """Make a user."""
    made = await services.users.create(
        project,
        user.custom_user_id,
        metadata=user.metadata,
        merge_conflict_enabled=user.merge_conflict_enabled,
    )
    return UserResponse.of(made)


@router.get("/users/{user_id}", responses=documented(404))
async def get_user(owner: OwnerOfPath, services: TheServices) -> UserResponse:
    """One user."""
    return UserResponse.of(await services.users.get(owner))
