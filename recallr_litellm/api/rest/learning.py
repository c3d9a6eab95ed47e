"""Routes of learning what was processed before."""

from __future__ import annotations

from pydantic import BaseModel, Field

from recallr_litellm.api.rest.access import OwnerOfPath, ProjectOfKey, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.services.learning import LearningProgress

router = project_router()


class LearningModelResponse(BaseModel):
    """What learns for a project."""

    model: str
    input_cost_per_token: float | None = Field(description="US dollars; null where LiteLLM does not know it.")
    output_cost_per_token: float | None
    budget_tokens: int | None = Field(description="A day; null for any number.")


class LearningEstimate(BaseModel):
    """What learning of a user will cost, about."""

    sessions: int = Field(description="Processed sessions that nothing was learned from.")
    calls: int
    input_tokens: int
    output_tokens: int


class LearningProgressResponse(BaseModel):
    """How far learning of a user is."""

    unlearned: int = Field(description="Processed sessions that nothing was learned from.")
    queued: int = Field(description="Sessions that wait to be learned.")
    waits_for: str = Field(description="Why they were put off, or set aside; empty where they were not.")
    set_aside: bool = Field(description="After too many failures. Started again, it is tried again.")

    @classmethod
    def of(cls, progress: LearningProgress) -> LearningProgressResponse:
        """As the API says it."""
        return cls(
            unlearned=progress.unlearned,
            queued=progress.queued,
            waits_for=progress.waits_for,
            set_aside=progress.set_aside,
        )


@router.get("/learning", responses=documented(400))
async def get_learning_model(project: ProjectOfKey, services: TheServices) -> LearningModelResponse:
    """What learns for the project."""
    found = services.learning.model(project)
    return LearningModelResponse(
        model=found.name,
        input_cost_per_token=found.price.input if found.price else None,
        output_cost_per_token=found.price.output if found.price else None,
        budget_tokens=found.budget_tokens,
    )


@router.get("/users/{user_id}/learning/estimate", responses=documented(404, 400))
async def estimate_learning(owner: OwnerOfPath, services: TheServices) -> LearningEstimate:
    """What learning the user's processed sessions will cost of which nothing was learned."""
    sessions, found = await services.learning.estimate(owner)
    return LearningEstimate(sessions=sessions, **found._asdict())


@router.get("/users/{user_id}/learning", responses=documented(404, 400))
async def get_learning_progress(owner: OwnerOfPath, services: TheServices) -> LearningProgressResponse:
    """How far learning of the user is."""
    return LearningProgressResponse.of(await services.learning.progress(owner))


@router.post("/users/{user_id}/learning", responses=documented(404, 400))
async def start_learning(owner: OwnerOfPath, services: TheServices) -> LearningProgressResponse:
    """Have all processed sessions of the user learned of which nothing was."""
    return LearningProgressResponse.of(await services.learning.start(owner))
