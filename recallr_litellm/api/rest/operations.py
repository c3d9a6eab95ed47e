"""Routes of operations: requests over time, queues, what failed, what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from recallr_litellm.api.rest.access import IdInPath, ProjectOfKey, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.services.operations import Receiver
from recallr_litellm.services.series import Point
from recallr_litellm.services.sessions import SessionStatus
from recallr_litellm.stores.state.series import Step

router = project_router()

_Item = TypeVar("_Item")
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Limit = Annotated[int, Query(ge=1, le=100)]


class SeriesResponse(BaseModel):
    """Requests over time."""

    step: Literal["minute", "hour"]
    points: list[Point]
    """Oldest first, also those in which nothing happened; the last one is not over."""


class QueuesResponse(BaseModel):
    """How much waits."""

    pending: int = Field(0, description="Sessions that wait for their timeout.")
    due: int = Field(0, description="Sessions that are to be processed now.")
    processing: int = Field(0, description="Sessions that are being processed.")
    failed: int = Field(0, description="Sessions that were set aside after too many failures.")
    learning: int = Field(0, description="Users of whom something is to be learned.")
    learning_failed: int = Field(0, description="Users of whom learning was set aside.")
    dead: int = Field(0, description="Payloads that Reconify refused.")
    dead_webhooks: int = Field(0, description="Webhook events that were refused.")


class TotalsResponse(BaseModel):
    """How much there is, nearly."""

    users: int
    sessions: dict[SessionStatus, int] = Field(
        description="By status. One that was processed and is used again counts as both."
    )
    memories: int = Field(description="Current ones, without what they said before.")


class FailedSessionResponse(BaseModel):
    """A session that could not be processed."""

    custom_user_id: str
    session_id: str
    reason: str


class FailedSessionsPage(BaseModel):
    """Some of the project's failed sessions."""

    sessions: list[FailedSessionResponse]
    total: int
    has_more: bool


class FailedLearningResponse(BaseModel):
    """A user of whom nothing is learned any more."""

    custom_user_id: str
    sessions: int = Field(description="That wait to be learned.")
    reason: str


class FailedLearningPage(BaseModel):
    """Some of the users of whom learning failed."""

    users: list[FailedLearningResponse]
    total: int
    has_more: bool


class DeadLetterResponse(BaseModel):
    """A payload that Reconify refused, or an event that the webhook's endpoint did."""

    message_id: str
    session_id: str
    status: str = Field(description="HTTP status of the answer; empty where there was none.")
    reason: str
    died_at: datetime


class DeadLettersPage(BaseModel):
    """Some of the project's dead letters."""

    dead_letters: list[DeadLetterResponse]
    total: int
    has_more: bool


class RetriedResponse(BaseModel):
    """How many were queued again."""

    retried: int


class DeletedResponse(BaseModel):
    """How many were deleted."""

    deleted: int


Refused = Annotated[Receiver, Query(description="Who refused it.")]


@router.get("/metrics/series")
async def get_series(
    project: ProjectOfKey,
    services: TheServices,
    since: Annotated[datetime | None, Query(description="Default: as far back as it is kept.")] = None,
    step: Annotated[
        Literal["minute", "hour"], Query(description="Minutes are kept for 6 hours, hours for 28 days.")
    ] = "minute",
) -> SeriesResponse:
    """Requests by status, added milliseconds, tokens shown and queue lengths over time."""
    moment = None if since is None else (since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp()
    points = await services.series.read(project, Step[step.upper()], since=moment)
    return SeriesResponse(step=step, points=points)


@router.get("/metrics/queues")
async def get_queues(project: ProjectOfKey, services: TheServices) -> QueuesResponse:
    """How much of the project waits now."""
    return QueuesResponse(**(await services.operations.queues()).get(project.id, {}))


@router.get("/metrics/totals")
async def get_totals(project: ProjectOfKey, services: TheServices) -> TotalsResponse:
    """How many users, sessions and memories the project has."""
    return TotalsResponse(**asdict(await services.totals.of(project)))


@router.get("/operations/failed-sessions")
async def list_failed_sessions(
    project: ProjectOfKey, services: TheServices, offset: Offset = 0, limit: Limit = 20
) -> FailedSessionsPage:
    """Sessions that were set aside after too many failures. Their messages are kept."""
    found = await services.operations.failed_sessions(project)
    page = [
        FailedSessionResponse(custom_user_id=one.owner.user, session_id=one.session_id, reason=one.reason)
        for one in _page(found, offset, limit)
    ]
    return FailedSessionsPage(sessions=page, total=len(found), has_more=offset + limit < len(found))


@router.post("/operations/failed-sessions/retry")
async def retry_failed_sessions(project: ProjectOfKey, services: TheServices) -> RetriedResponse:
    """Process all failed sessions of the project again."""
    return RetriedResponse(retried=await services.operations.retry_sessions(project))


@router.post("/operations/failed-sessions/{session_id}/retry", responses=documented(404))
async def retry_failed_session(session_id: IdInPath, project: ProjectOfKey, services: TheServices) -> RetriedResponse:
    """Process one failed session again."""
    return RetriedResponse(retried=await services.operations.retry_sessions(project, session_id))


@router.get("/operations/failed-learning")
async def list_failed_learning(
    project: ProjectOfKey, services: TheServices, offset: Offset = 0, limit: Limit = 20
) -> FailedLearningPage:
    """Users of whom nothing is learned any more, since that failed too often. Their sessions wait."""
    found = await services.operations.failed_learning(project)
    page = [
        FailedLearningResponse(custom_user_id=one.owner.user, sessions=one.sessions, reason=one.reason)
        for one in _page(found, offset, limit)
    ]
    return FailedLearningPage(users=page, total=len(found), has_more=offset + limit < len(found))


@router.post("/operations/failed-learning/retry")
async def retry_failed_learning(project: ProjectOfKey, services: TheServices) -> RetriedResponse:
    """Learn again of all users of the project of whom it failed."""
    return RetriedResponse(retried=await services.operations.retry_learning(project))


@router.post("/operations/failed-learning/{user_id}/retry", responses=documented(404))
async def retry_learning_of_user(user_id: IdInPath, project: ProjectOfKey, services: TheServices) -> RetriedResponse:
    """Learn again of one user of whom it failed."""
    return RetriedResponse(retried=await services.operations.retry_learning(project, user_id))


@router.get("/operations/dead-letters")
async def list_dead_letters(
    project: ProjectOfKey,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 20,
    receiver: Refused = "reconify",
) -> DeadLettersPage:
    """What was refused, oldest first."""
    found = await services.operations.dead_letters(project, receiver)
    page = [
        DeadLetterResponse(
            message_id=letter.message_id,
            session_id=letter.session,
            status=letter.status,
            reason=letter.reason,
            died_at=datetime.fromtimestamp(letter.died_at / 1000, UTC),
        )
        for letter in _page(found, offset, limit)
    ]
    return DeadLettersPage(dead_letters=page, total=len(found), has_more=offset + limit < len(found))


@router.post("/operations/dead-letters/retry")
async def retry_dead_letters(
    project: ProjectOfKey, services: TheServices, receiver: Refused = "reconify"
) -> RetriedResponse:
    """Send all that was refused again."""
    return RetriedResponse(retried=await services.operations.retry_dead_letters(project, receiver=receiver))


@router.post("/operations/dead-letters/{message_id}/retry", responses=documented(404))
async def retry_dead_letter(
    message_id: IdInPath, project: ProjectOfKey, services: TheServices, receiver: Refused = "reconify"
) -> RetriedResponse:
    """Send one again."""
    return RetriedResponse(retried=await services.operations.retry_dead_letters(project, message_id, receiver))


@router.delete("/operations/dead-letters")
async def delete_dead_letters(
    project: ProjectOfKey, services: TheServices, receiver: Refused = "reconify"
) -> DeletedResponse:
    """Delete all that was refused, for good."""
    return DeletedResponse(deleted=await services.operations.delete_dead_letters(project, receiver=receiver))


@router.delete("/operations/dead-letters/{message_id}", responses=documented(404))
async def delete_dead_letter(
    message_id: IdInPath, project: ProjectOfKey, services: TheServices, receiver: Refused = "reconify"
) -> DeletedResponse:
    """Delete one, for good."""
    return DeletedResponse(deleted=await services.operations.delete_dead_letters(project, message_id, receiver))


def _page(found: Sequence[_Item], offset: int, limit: int) -> Sequence[_Item]:
    return found[offset : offset + limit]
