"""Routes of what a model is told: the context of a session, and the instructions for using it."""

from __future__ import annotations

from pydantic import BaseModel

from recallr_litellm.api.rest.access import project_router
from recallr_litellm.core.instructions import instructions
from recallr_litellm.core.options import Strategy

router = project_router()


class SystemPrompt(BaseModel):
    """The text for the system message of a model that is given the context of a session."""

    system_prompt: str


@router.get("/system-prompt")
async def get_system_prompt(recall_strategy: Strategy = Strategy.BALANCED) -> SystemPrompt:
    """The instructions for using the context that this strategy gives."""
    return SystemPrompt(system_prompt=instructions(recall_strategy))
