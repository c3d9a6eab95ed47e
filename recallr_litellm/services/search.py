"""A search of one user's memory, as tools want it: a list of what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled, RecalledMemory, RecalledPassage, RecalledSummary, ranked
from recallr_litellm.errors import Unavailable, VectorsUnavailable
from recallr_litellm.recall.by_strategy import MemorySearch, Question
from recallr_litellm.stores.circuit_breaker import CircuitBreaker


class FoundKind(StrEnum):
    """What was found."""

    MEMORY = "memory"
    MESSAGE = "message"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is remembered."""

    kind: FoundKind
    text: str
    relevance: float
    """0 to 1."""
    at: int
    """When it was said, milliseconds since the epoch, UTC."""
    session: str
    role: str | None = None
    """Who said a message: `user` or `assistant`."""
    memory: str | None = None
    """Id of a memory."""


class Search:
    """Searches what sessions that are over have left.

    Args:
        breakers: of the vector store and of the embedding.
        seconds: after which a search has failed.
    """

    def __init__(self, search: MemorySearch, breakers: Collection[CircuitBreaker], *, seconds: float) -> None:
        self._search = search
        self._breakers = breakers
        self._seconds = seconds

    async def __call__(self, owner: Owner, query: str, options: RecallOptions, *, limit: int) -> Sequence[Found]:
        """What is nearest to the query, best first: at most `limit` memories and messages, then as many summaries.

        Raises:
            Unavailable: Qdrant or the embedding model does not answer.
        """
        wanted = replace(options, strategy=Strategy.BALANCED, min_top_k=limit, max_top_k=limit)
        recalled, until = Recalled(), asyncio.get_running_loop().time() + self._seconds
        try:
            async with asyncio.timeout_at(until):
                for breaker in self._breakers:
                    breaker.require()
                async for progress in self._search(
                    owner, Question(query), wanted, exclude_sessions=frozenset(), now=datetime.now(UTC), until=until
                ):
                    recalled = progress.recalled
        except (Unavailable, TimeoutError) as error:
            for breaker in self._breakers:
                breaker.suspect()
            if isinstance(error, TimeoutError):
                raise VectorsUnavailable(f"Nothing was found within {self._seconds:g} s") from None
            raise
        best = list(ranked(recalled.memories, recalled.passages))[:limit]
        return [*map(_found, best), *map(_summary, recalled.summaries[:limit])]


def _found(one: RecalledPassage | RecalledMemory) -> Found:
    match one:
        case RecalledMemory():
            return Found(FoundKind.MEMORY, one.text, one.relevance, one.at, one.session, memory=one.id)
        case RecalledPassage():
            return Found(FoundKind.MESSAGE, one.text, one.relevance, one.at, one.session, role=one.role)


def _summary(one: RecalledSummary) -> Found:
    return Found(FoundKind.SUMMARY, one.summary, one.relevance, one.last_at, one.session)
