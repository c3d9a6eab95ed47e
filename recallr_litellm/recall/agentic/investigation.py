"""The agentic strategy of a request: whether there is a search by a model, and in whose memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.recall.agentic.loop import Agent, Event, Finished
from recallr_litellm.recall.agentic.memory import OwnedMemory
from recallr_litellm.recall.agentic.prompt import ResearchQuestion
from recallr_litellm.recall.question import searchable
from recallr_litellm.recall.search import Recall
from recallr_litellm.stores.vectors import VectorStore


class Investigation:
    """Goes on from what a search without a model has found.

    Args:
        agent: None where no model is configured.
    """

    def __init__(self, recall: Recall, vectors: VectorStore, agent: Agent | None) -> None:
        self._recall = recall
        self._vectors = vectors
        self._agent = agent

    @property
    def has_model(self) -> bool:
        """Whether there is a model to search with."""
        return self._agent is not None

    async def __call__(
        self,
        owner: Owner,
        question: ResearchQuestion,
        recalled: Recalled,
        options: RecallOptions,
        *,
        exclude_sessions: frozenset[str],
        until: float,
    ) -> AsyncIterator[Event]:
        """Search the owner's memory, and tell of each step; the last event is `Finished`.

        Args:
            recalled: of the strategy `balanced`, which is what remains when the model finds nothing.
            exclude_sessions: ids of sessions that the model sees anyway.
            until: when to be done, on the clock of the event loop, in seconds.

        Raises:
            VectorsUnavailable: the store did not answer.
            EmbeddingUnavailable: a query could not be embedded.
        """
        if self._agent is None:
            yield Finished(recalled, "RECALLR_MEMORY_MODEL is not set")
            return
        memory = OwnedMemory(
            self._recall, self._vectors, owner, options, exclude_sessions=exclude_sessions, now=question.now
        )
        found = recalled.passages or recalled.memories or recalled.summaries
        if not searchable(question.text) or not (found or await memory.holds_anything()):
            yield Finished(recalled)
            return
        async for event in self._agent(memory, question, recalled, options, until=until):
            yield event
