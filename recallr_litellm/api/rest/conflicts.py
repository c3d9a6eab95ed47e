"""Routes of conflicts: new facts that contradict a memory."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from recallr_litellm.api.rest.access import IdInPath, OwnerOfPath, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.api.rest.memories import event_of
from recallr_litellm.api.rest.values import IdempotencyKey, Limit, Offset, as_text, moment
from recallr_litellm.core.knowledge import Answer, ConflictStatus
from recallr_litellm.core.records import Memory
from recallr_litellm.services.conflicts import ConflictDetails

router = project_router()


class ConflictingMemory(BaseModel):
    """The memory that a new fact contradicts."""

    memory_id: str
    content: str
    reason: str
    event_date_start: datetime
    event_date_end: datetime
    created_at: datetime


class NewMemory(BaseModel):
    """What became of a settled conflict."""

    memory_id: str
    content: str
    event_date_start: datetime
    event_date_end: datetime
    created_at: datetime

    @classmethod
    def of(cls, memory: Memory) -> NewMemory:
        """As the API says it."""
        began, ended = event_of(memory)
        return cls(
            memory_id=memory.id,
            content=as_text(memory.content),
            event_date_start=began,
            event_date_end=ended,
            created_at=moment(memory.created_at),
        )


class Question(BaseModel):
    """A question whose answer settles a conflict."""

    question: str
    options: list[str]


class ConflictResponse(BaseModel):
    """A new fact that contradicts a memory."""

    id: str
    project_user_session_id: str
    proposed_memory_content: str | None
    new_memories: list[NewMemory] | None
    conflicting_memories: list[ConflictingMemory]
    clarifying_questions: list[Question]
    status: ConflictStatus
    resolution_data: dict[str, Any] | None
    created_at: datetime
    resolved_at: datetime | None

    @classmethod
    def of(cls, details: ConflictDetails) -> ConflictResponse:
        """As the API says it."""
        conflict, memory, became = details.conflict, details.memory, details.became
        answers = [one.model_dump() for one in conflict.answers]
        return cls(
            id=conflict.id,
            project_user_session_id=conflict.session,
            proposed_memory_content=as_text(conflict.content),
            new_memories=[NewMemory.of(became)] if became is not None else None,
            conflicting_memories=[
                ConflictingMemory(**NewMemory.of(memory).model_dump(), reason=as_text(conflict.reason))
            ]
            if memory is not None
            else [],
            clarifying_questions=[
                Question(question=as_text(one.question), options=[as_text(option) for option in one.options])
                for one in conflict.questions
            ],
            status=conflict.status,
            resolution_data={"question_answers": answers} if answers else None,
            created_at=moment(conflict.created_at),
            resolved_at=None if conflict.resolved_at is None else moment(conflict.resolved_at),
        )


class ConflictList(BaseModel):
    """Some conflicts of a user."""

    conflicts: list[ConflictResponse]
    total: int
    has_more: bool


class QuestionAnswer(BaseModel):
    """What the user answered to a question."""

    question: Annotated[str, Field(max_length=1_000)]
    answer: Annotated[str, Field(max_length=1_000)]
    message: Annotated[str, Field(max_length=2_000)] | None = None


class Answers(BaseModel):
    """What the user answered to the questions of a conflict."""

    question_answers: Annotated[list[QuestionAnswer], Field(max_length=20)]


class Resolution(BaseModel):
    """How a conflict is to be resolved."""

    answers: Answers


@router.get("/users/{user_id}/merge-conflicts", responses=documented(404))
async def list_conflicts(
    owner: OwnerOfPath,
    services: TheServices,
    offset: Offset = 0,
    limit: Limit = 10,
    status: ConflictStatus | None = None,
    sort_by: Literal["created_at", "resolved_at"] = "created_at",
    sort_order: Literal["asc", "desc"] = "desc",
) -> ConflictList:
    """Conflicts of a user's memories."""
    found, total = await services.conflicts.page(
        owner,
        offset=offset,
        limit=limit,
        status=status,
        by_resolution=sort_by == "resolved_at",
        oldest_first=sort_order == "asc",
    )
    items = [ConflictResponse.of(one) for one in found]
    return ConflictList(conflicts=items, total=total, has_more=offset + len(items) < total)


@router.get("/users/{user_id}/merge-conflicts/{conflict_id}", responses=documented(404))
async def get_conflict(owner: OwnerOfPath, conflict_id: IdInPath, services: TheServices) -> ConflictResponse:
    """One conflict."""
    return ConflictResponse.of(await services.conflicts.get(owner, conflict_id))


@router.post("/users/{user_id}/merge-conflicts/{conflict_id}/resolve", responses=documented(400, 404))
async def resolve_conflict(
    owner: OwnerOfPath,
    conflict_id: IdInPath,
    resolution: Resolution,
    services: TheServices,
    idempotency_key: IdempotencyKey = None,
) -> ConflictResponse:
    """Answer the questions of a conflict. What is true by the answers becomes a version of the memory."""
    answers = [
        Answer(question=one.question, answer=one.answer, message=one.message or "")
        for one in resolution.answers.question_answers
    ]
    return ConflictResponse.of(
        await services.conflicts.resolve(owner, conflict_id, answers, repeatable=idempotency_key is not None)
    )
