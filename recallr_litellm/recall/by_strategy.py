"""Searching one user's memory by whichever strategy is asked for; of chats and of the API alike.

>>> search = MemorySearch(recall, vectors, agent, may_use_agentic=…, budget=…, profiles=…)
>>> async for progress in search(owner, Question("Where did I park?"), options, until=loop.time() + 3, ...):
...     recalled = progress.recalled
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from recallr_litellm.core.messages import Message
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.errors import StateUnavailable, Unavailable
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.metrics import AGENTIC_CALLS, AGENTIC_TOKENS, RECALL
from recallr_litellm.recall.agentic import Agent, OwnedMemory, Progress, ResearchQuestion
from recallr_litellm.recall.auto import choose
from recallr_litellm.recall.memories import recalled_memory
from recallr_litellm.recall.profile import Profiles
from recallr_litellm.recall.search import Recall
from recallr_litellm.recall.trace import Trace
from recallr_litellm.stores.vectors import VectorStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """What memory is searched for."""

    text: str
    """The user's own words."""
    previous: str = ""
    """What the user said before that, in the same session; "" if that is the first."""
    earlier: Sequence[Message] = ()
    """What was said before that, for a model that searches."""


class MemorySearch:
    """Searches by any strategy.

    Args:
        agent: searches with a model; None where none is configured.
        may_use_agentic: whether a project may have memory searched by the model.
        budget: of the model.
        profiles: those of users, which come with what is found.
    """

    def __init__(
        self,
        recall: Recall,
        vectors: VectorStore,
        agent: Agent | None,
        *,
        may_use_agentic: Callable[[str], bool],
        budget: TokenBudget,
        profiles: Profiles,
    ) -> None:
        self._recall = recall
        self._vectors = vectors
        self._agent = agent
        self._may_use_agentic = may_use_agentic
        self._budget = budget
        self._profiles = profiles

    def chosen(self, owner: Owner, strategy: Strategy, question: str) -> Strategy:
        """How a question is searched for: the strategy itself, or what `auto` makes of it."""
        if strategy is not Strategy.AUTO:
            return strategy
        return choose(question, model=self._no_model(owner) is None)

    async def __call__(
        self,
        owner: Owner,
        question: Question,
        options: RecallOptions,
        *,
        exclude_sessions: frozenset[str],
        now: datetime,
        until: float,
        trace: Trace | None = None,
        begun: Callable[[], Awaitable[Recalled | None]] | None = None,
    ) -> AsyncIterator[Progress]:
        """Search, and tell what there is after each step: one of a search without a model, then those of the model,
        where the strategy is `agentic`. The last one is finished.

        Args:
            options: with a strategy that `chosen` has answered.
            exclude_sessions: of which nothing must be found.
            until: when a model has to be done, on the clock of the event loop.
            begun: what `first` has found, if that was begun before; None where it must be done anew.

        Raises:
            VectorsUnavailable, EmbeddingUnavailable: memory does not answer.
        """
        agentic = options.strategy is Strategy.AGENTIC
        with RECALL.time():
            recalled = await begun() if begun is not None else None
            if recalled is None:
                recalled = await self.first(
                    owner, question, options, exclude_sessions=exclude_sessions, now=now, trace=trace
                )
        fault = self._no_model(owner) or await self._no_budget(owner) if agentic else None
        finished = not agentic or fault is not None or self._agent is None
        yield Progress(recalled, finished=finished, fault=fault)
        if finished or self._agent is None:
            return
        options = _without_model(options)
        memory = OwnedMemory(self._recall, self._vectors, owner, options, exclude_sessions=exclude_sessions, now=now)
        asked = ResearchQuestion(question.text, now, options.timezone, tuple(question.earlier))
        spend = partial(self._spend, owner)
        async for progress in self._agent(memory, asked, recalled, options, until=until, spend=spend):
            yield progress

    async def first(
        self,
        owner: Owner,
        question: Question,
        options: RecallOptions,
        *,
        exclude_sessions: frozenset[str],
        now: datetime,
        trace: Trace | None = None,
    ) -> Recalled:
        """The search without a model that comes first, and the user's profile. Arguments and errors as above."""
        found, lines = await asyncio.gather(
            self._recall(
                owner,
                question.text,
                _without_model(options),
                exclude_sessions=exclude_sessions,
                previous=question.previous,
                now=now,
                trace=trace,
            ),
            self._profiles.lines(owner, now=now, exclude_sessions=exclude_sessions),
        )
        profile = tuple(recalled_memory(line.memory)._replace(disputed=line.disputed) for line in lines)
        searched = found.searched.union(memory.session for memory in profile)
        return replace(found, profile=profile, searched=searched)

    def _no_model(self, owner: Owner) -> str | None:
        """Why the owner's memory cannot be searched by a model; None if it can."""
        if self._agent is None:
            return "RECALLR_MEMORY_MODEL is not set"
        if not self._may_use_agentic(owner.project):
            return "neither its settings nor RECALLR_AGENTIC_PROJECTS allow the project agentic recall"
        return None

    async def _no_budget(self, owner: Owner) -> str | None:
        """Why the model may not be used now; None if it may."""
        try:
            await self._budget.require(owner.project)
        except Unavailable as error:
            return str(error)
        return None

    async def _spend(self, owner: Owner, tokens: int) -> None:
        AGENTIC_CALLS.inc()
        AGENTIC_TOKENS.inc(tokens)
        try:
            await self._budget.spend(owner.project, tokens)
        except StateUnavailable as error:
            _log.warning("Tokens of agentic recall could not be counted: %s", error)


def _without_model(options: RecallOptions) -> RecallOptions:
    """A search by a model begins with a balanced one."""
    agentic = options.strategy is Strategy.AGENTIC
    return replace(options, strategy=Strategy.BALANCED) if agentic else options
