"""Learning what was processed before there was a model to learn with: what it will cost, starting it, how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.errors import LearningOff
from recallr_litellm.learning.estimate import Estimate, Price, estimate
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.projects import Projects
from recallr_litellm.stores.state.learning_queue import LearningQueue
from recallr_litellm.stores.vectors import VectorStore


@dataclass(frozen=True, slots=True)
class LearningModel:
    """What learns."""

    name: str
    price: Price | None
    """None where LiteLLM does not know it."""
    budget_tokens: int | None
    """A day, of the project; None: any number."""


@dataclass(frozen=True, slots=True)
class LearningProgress:
    """How far learning of a user is."""

    unlearned: int
    """Processed sessions that nothing was learned from."""
    queued: int
    """Of all sessions, those that wait to be learned."""
    waits_for: str
    """Why they were put off, or set aside; "" where they were not."""
    set_aside: bool
    """After too many failures: queued again, it is tried again."""


class Learning:
    """Has sessions learned.

    Args:
        queue: None where nothing is learned.
        model: that of RECALLR_MEMORY_MODEL; None where there is none.
        price: of a model.
        rules: those of a project.
    """

    def __init__(
        self,
        projects: Projects,
        vectors: VectorStore,
        queue: LearningQueue | None,
        model: str | None,
        *,
        price: Callable[[str], Price | None],
        rules: Callable[[str], Rules],
    ) -> None:
        self._projects = projects
        self._vectors = vectors
        self._queue = queue
        self._model = model
        self._price = price
        self._rules = rules

    def model(self, project: Project) -> LearningModel:
        """What learns for a project.

        Raises:
            LearningOff: nothing does; it says what to set.
        """
        self._require(project.id)
        assert self._model is not None
        budget = self._projects.settings_of(project.id).memory_budget_tokens
        return LearningModel(self._model, self._price(self._model), budget)

    async def estimate(self, owner: Owner) -> tuple[int, Estimate]:
        """How many processed sessions of a user nothing was learned from, and what learning them will cost.

        Raises:
            LearningOff: nothing is learned; it says what to set.
        """
        self._require(owner.project)
        rules, timezone, total = self._rules(owner.project), ZoneInfo("UTC"), Estimate()
        sessions = await self._vectors.unlearned_sessions(owner)
        for session in sessions:
            messages = await self._vectors.read_messages(owner, session.id)
            kept = await self._vectors.extractions(owner, session.id)
            known = {id for extraction in kept for id in extraction.messages}
            found = estimate(messages, timezone, rules, known=known)
            total = Estimate(*map(sum, zip(total, found, strict=True)))
        return len(sessions), total

    async def start(self, owner: Owner) -> LearningProgress:
        """Queue all processed sessions of a user that nothing was learned from. Called again, it changes nothing, but
        what was set aside is tried again.

        Raises:
            LearningOff: nothing is learned; it says what to set.
        """
        queue = self._require(owner.project)
        for session in await self._vectors.unlearned_sessions(owner):
            await queue.add(owner, session.id, session.last_at)
        await queue.retry(owner)
        return await self.progress(owner)

    async def progress(self, owner: Owner) -> LearningProgress:
        """How far it is.

        Raises:
            LearningOff: nothing is learned; it says what to set.
        """
        status = await self._require(owner.project).status(owner)
        unlearned = await self._vectors.count_unlearned(owner)
        return LearningProgress(unlearned, status.queued, status.reason, status.set_aside)

    def _require(self, project: str) -> LearningQueue:
        if self._model is None:
            raise LearningOff("No model learns: set RECALLR_MEMORY_MODEL to a model of the gateway, and start it again")
        if self._queue is None:
            raise LearningOff("Learning is switched off: RECALLR_LEARNING is false. Set it to true, and start again")
        if self._projects.settings_of(project).learning is False:
            raise LearningOff(f"Learning is switched off for the project {project!r}: set its `learning` to true")
        return self._queue
