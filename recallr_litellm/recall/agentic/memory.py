"""The memory of one user, as the tools reach it: there is no way from here to another one's."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled, RecalledMemory
from recallr_litellm.core.records import Session, Span
from recallr_litellm.recall.memories import recalled_memory
from recallr_litellm.recall.search import Recall
from recallr_litellm.stores.vectors import VectorStore

_EVER = Span(0, 253_402_300_799_999)
"""Up to the end of the year 9999."""


class OwnedMemory:
    """Searches and reads the processed sessions of the owner that it was made for.

    Every method raises `VectorsUnavailable` when the store does not answer, `search` also `EmbeddingUnavailable`.

    Args:
        options: of the request; how much is found is up to each search.
        exclude_sessions: ids of sessions that the model sees anyway.
        now: what "last week" in a query is counted from, aware; without it the clock of this machine.
    """

    def __init__(
        self,
        recall: Recall,
        vectors: VectorStore,
        owner: Owner,
        options: RecallOptions,
        *,
        exclude_sessions: frozenset[str],
        now: datetime | None = None,
    ) -> None:
        self._recall = recall
        self._vectors = vectors
        self._owner = owner
        self._options = replace(options, strategy=Strategy.BALANCED, last_n_user_messages=None, last_n_summaries=None)
        self._exclude = exclude_sessions
        self._now = now

    async def search(self, query: str, k: int, within: Span | None = None) -> Recalled:
        """The `k` best passages and memories, whatever their relevance, and the best summaries; of a time, or any."""
        options = replace(self._options, min_top_k=k, max_top_k=k, summaries_threshold=0.0)
        return await self._recall(
            self._owner, query, options, exclude_sessions=self._exclude, within=within, now=self._now
        )

    async def connected(self, memory_id: str) -> list[RecalledMemory]:
        """The memories that one is connected with; none for one that is not this owner's."""
        found: list[RecalledMemory] = []
        for memory in await self._vectors.get_memories(self._owner, [memory_id], exclude_sessions=self._exclude):
            connected = await self._vectors.get_memories(self._owner, memory.connected, exclude_sessions=self._exclude)
            found += [recalled_memory(one) for one in connected if one.expired_at is None]
        return found

    async def holds_anything(self) -> bool:
        """Whether there is anything to search in."""
        return bool(await self._vectors.sessions_between(self._owner, _EVER, 1, exclude_sessions=self._exclude))

    async def sessions(self, within: Span, n: int) -> list[Session]:
        """Of the sessions that went on in a time the `n` that ended last, oldest first."""
        return await self._vectors.sessions_between(self._owner, within, n, exclude_sessions=self._exclude)

    async def messages(self, session_id: str) -> list[StoredMessage]:
        """All messages of a session, by position; none for one that is not this owner's."""
        return [] if session_id in self._exclude else await self._vectors.read_messages(self._owner, session_id)
