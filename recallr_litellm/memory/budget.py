"""What the memory model may use: tokens a day and project, for learning and agentic recall together."""

from __future__ import annotations

from collections.abc import Callable

from recallr_litellm.errors import Unavailable
from recallr_litellm.stores.state import StateStore


class BudgetSpent(Unavailable):
    """The project has used its tokens of today."""

    reason = "agent"


class TokenBudget:
    """Counts the tokens of the memory model, those of all workers together, and says when they are used up.

    A call is made as long as any are left: what the last ones use beyond is bounded by their own size.

    Args:
        most: tokens a day (UTC) that a project may use; None: any number.
    """

    def __init__(self, state: StateStore, most: Callable[[str], int | None]) -> None:
        self._state = state
        self._most = most

    async def require(self, project: str) -> None:
        """Return if tokens are left.

        Raises:
            BudgetSpent: none are.
            StateUnavailable: Redis does not answer.
        """
        most = self._most(project)
        if most is not None and await self._state.spend_tokens(project, 0) >= most:
            raise BudgetSpent(f"project {project!r} has used its {most} tokens of today")

    async def spend(self, project: str, tokens: int) -> None:
        """Count the tokens of a call that was made.

        Raises:
            StateUnavailable: Redis does not answer.
        """
        await self._state.spend_tokens(project, tokens)
