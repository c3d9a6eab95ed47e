"""Routes of sessions and their messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, Field, JsonValue

from recallr_litellm.api.rest.access import IdInPath, OwnerOfPath, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.api.rest.values import (
    IdempotencyKey,
    Limit,
    Metadata,
    MetadataFilter,
    Offset,
    as_text,
    milliseconds,
    moment,
)
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.request_headers import MAX_SESSION_TIMEOUT
from recallr_litellm.services.sessions import SessionInfo, SessionStatus

router = project_router()


class NewSession(BaseModel):
    """A session to make."""

    auto_process_after_seconds: int = Field(
        600, le=MAX_SESSION_TIMEOUT, description="Seconds without a message after which it becomes memory."
    )
    metadata: Metadata = Field(default_factory=dict)
    custom_created_at_utc: AwareDatetime | None = Field(
        None, description="When it took place, if that is in the past. What is said in it was said then."
    )


class SessionChange(BaseModel):
    """What is to be changed of a session."""

    new_metadata: Metadata | None = None


class NewMessage(BaseModel):
    """A message to add to a session."""

    message: str = Field(min_length=1)
    role: Literal["user", "assistant"]


class SessionResponse(BaseModel):
    """A session."""

    session_id: str
    status: SessionStatus
    created_at: datetime
    last_active_at: datetime
    message_count: int = Field(description="With what tools returned.")
    metadata: dict[str, JsonValue]

    @classmethod
    def of(cls, session: SessionInfo) -> SessionResponse:
        """As the API says it."""
        return cls(
            session_id=session.id,
            status=session.status,
            created_at=moment(session.created_at),
            last_active_at=moment(session.last_at),
            message_count=session.message_count,
            metadata=dict(session.metadata),
        )


class SessionList(BaseModel):
    """Some sessions of a user."""

    sessions: list[SessionResponse]
    total: int
    has_more: bool


class MessageResponse(BaseModel):
    """A message of a session."""

    role: Literal["user", "assistant"]
    content: str
    timestamp: datetime


class UserMessage(MessageResponse):
    """A message of a user's sessions."""

    session_id: str


class MessageList(BaseModel):
    """Some messages of a session, in their order."""

    messages: list[MessageResponse]
    total: int
    has_more: bool


class UserMessageList(BaseModel):
    """The last messages of a user, oldest first."""

    messages: list[UserMessage]


class AddedMessage(BaseModel):
    """A message that was added."""

    message_id: str
    session_id: str


@router.post("/users/{user_id}/sessions", status_code=201, responses=documented(404))
async def create_session(
    owner: OwnerOfPath, session: NewSession, services: TheServices, idempotency_key: IdempotencyKey = None
) -> SessionResponse:
    """Make a session. Chats continue it with the header `X-Recallr-Session-Id`."""
    created = session.custom_created_at_utc
    made = await services.sessions.create(
        owner,
        timeout_seconds=session.auto_process_after_seconds,
        metadata=session.metadata,
        created_at=None if created is None else milliseconds(created),
        key=idempotency_key,
    )
    return SessionResponse.of(made)


@router.get("/users/{user_id}/sessions", responses=documented(404))
async def list_sessions(
    owner: OwnerOfPath,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 10,
    metadata_filter: MetadataFilter = None,
    status_filter: Annotated[list[SessionStatus] | None, Query()] = None,
) -> SessionList:
    """Sessions of a user: those not yet processed, then the others; the last used first."""
    sessions, total = await services.sessions.page(
        owner, offset=offset, limit=limit, metadata=metadata_filter, statuses=status_filter or ()
    )
    return SessionList(
        sessions=[SessionResponse.of(session) for session in sessions],
        total=total,
        has_more=offset + len(sessions) < total,
    )


@router.get("/users/{user_id}/sessions/{session_id}", responses=documented(404))
async def get_session(owner: OwnerOfPath, session_id: IdInPath, services: TheServices) -> SessionResponse:
    """One session."""
    return SessionResponse.of(await services.sessions.get(owner, session_id))


@router.put("/users/{user_id}/sessions/{session_id}", responses=documented(404))
async def update_session(
    owner: OwnerOfPath, session_id: IdInPath, change: SessionChange, services: TheServices
) -> SessionResponse:
    """Replace the metadata of a session."""
    return SessionResponse.of(await services.sessions.update(owner, session_id, change.new_metadata))


@router.delete("/users/{user_id}/sessions/{session_id}", status_code=204, responses=documented(404))
async def forget_session(owner: OwnerOfPath, session_id: IdInPath, services: TheServices) -> None:
    """Forget a session: its messages, and the memories that came from it alone, are deleted for good."""
    await services.sessions.get(owner, session_id)
    await services.forgetting.forget_session(owner, session_id)


@router.post("/users/{user_id}/sessions/{session_id}/add-message", responses=documented(400, 404))
async def add_message(
    owner: OwnerOfPath,
    session_id: IdInPath,
    message: NewMessage,
    services: TheServices,
    idempotency_key: IdempotencyKey = None,
) -> AddedMessage:
    """Add a message at the end of a session that is not processed yet."""
    id = await services.sessions.add_message(owner, session_id, message.role, message.message, key=idempotency_key)
    return AddedMessage(message_id=id, session_id=session_id)


@router.post("/users/{user_id}/sessions/{session_id}/process", responses=documented(400, 404))
async def process_session(
    owner: OwnerOfPath, session_id: IdInPath, services: TheServices, idempotency_key: IdempotencyKey = None
) -> SessionResponse:
    """Have a session become memory now."""
    return SessionResponse.of(await services.sessions.process(owner, session_id, key=idempotency_key))


@router.get("/users/{user_id}/sessions/{session_id}/messages", responses=documented(404))
async def list_messages(
    owner: OwnerOfPath, session_id: IdInPath, services: TheServices, offset: Offset = 0, limit: Limit = 50
) -> MessageList:
    """Messages of a session, in their order."""
    messages, total = await services.sessions.messages(owner, session_id, offset=offset, limit=limit)
    return MessageList(
        messages=[MessageResponse.model_validate(_said(stored)) for stored in messages],
        total=total,
        has_more=offset + len(messages) < total,
    )


@router.get("/users/{user_id}/messages", responses=documented(404))
async def last_messages(
    owner: OwnerOfPath, services: TheServices, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> UserMessageList:
    """The last messages of all sessions of a user, oldest first."""
    found = await services.sessions.last_messages(owner, limit)
    return UserMessageList(
        messages=[UserMessage.model_validate({**_said(one.stored), "session_id": one.session}) for one in found]
    )


def _said(stored: StoredMessage) -> dict[str, object]:
    return {"role": stored.message.role, "content": as_text(stored.message.text), "timestamp": moment(stored.at)}
