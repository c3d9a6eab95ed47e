"""The search itself: question in, what is remembered out."""

from __future__ import annotations

import asyncio
import logging
from functools import cache

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled, RecalledPassage, RecalledSummary
from recallr_litellm.core.records import PassageHit, Session, SummaryHit
from recallr_litellm.recall.calibration import calibration_of, to_reference
from recallr_litellm.recall.question import searchable
from recallr_litellm.recall.recipes import RECIPES, Recipe
from recallr_litellm.recall.scoring import bm25_scale, score_passages, score_summaries
from recallr_litellm.recall.selection import top_memories, top_summaries
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.vectors import VectorStore

_log = logging.getLogger(__name__)

_HEAD_START_SECONDS = 0.001


class Recall:
    """Searches the memory of one owner at a time; keeps nothing between calls.

    Args:
        vectors: where the memory is.
        embedder: the model that the memory was embedded with.
        sparse: its companion for BM25.
    """

    def __init__(self, vectors: VectorStore, embedder: Embedder, sparse: SparseEncoder) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._sparse = sparse

    async def __call__(
        self, owner: Owner, question: str, options: RecallOptions, *, exclude_sessions: frozenset[str]
    ) -> Recalled:
        """What the owner's memory holds for a question.

        Args:
            question: the user's own words, of any length. Without a letter or digit nothing is
                searched for, and only the recent things come back that `options` asks for.
            exclude_sessions: ids of sessions that the model sees anyway.

        Raises:
            VectorsUnavailable: the store did not answer.
            EmbeddingUnavailable: the question could not be embedded.
        """
        _announce(options.strategy)
        (memories, summaries), last_messages, last_summaries = await asyncio.gather(
            self._search(owner, searchable(question), options, exclude_sessions),
            self._last_messages(owner, options.last_n_user_messages, exclude_sessions),
            self._last_summaries(owner, options.last_n_summaries, exclude_sessions),
        )
        return Recalled(memories, summaries, tuple(last_messages), tuple(last_summaries))

    async def _search(
        self, owner: Owner, text: str, options: RecallOptions, exclude_sessions: frozenset[str]
    ) -> tuple[tuple[RecalledPassage, ...], tuple[RecalledSummary, ...]]:
        if not text:
            return (), ()
        recipe = RECIPES[options.strategy]
        embedding = asyncio.ensure_future(self._embedder.query(text))
        try:
            # The thread of the model needs the interpreter for the first half millisecond; once it computes,
            # the search by words can have it.
            await asyncio.wait([embedding], timeout=_HEAD_START_SECONDS)
            terms = self._sparse.query(text)
            passages, summaries = await self._vectors.search(
                owner,
                embedding,
                terms,
                exclude_sessions=exclude_sessions,
                turn_candidates=recipe.turn_candidates,
                summary_candidates=recipe.summary_candidates,
            )
        finally:
            embedding.cancel()
        scale = bm25_scale(len(terms.indices), recipe.weights)
        model = self._embedder.name
        return (
            top_memories(rank_passages(passages, model, recipe, scale=scale), options),
            top_summaries(rank_summaries(summaries, model, recipe, scale=scale), options, at_most=recipe.max_summaries),
        )

    async def _last_messages(
        self, owner: Owner, n: int | None, exclude_sessions: frozenset[str]
    ) -> list[tuple[str, StoredMessage]]:
        return await self._vectors.last_user_messages(owner, n, exclude_sessions=exclude_sessions) if n else []

    async def _last_summaries(self, owner: Owner, n: int | None, exclude_sessions: frozenset[str]) -> list[Session]:
        return await self._vectors.last_summaries(owner, n, exclude_sessions=exclude_sessions) if n else []


def rank_passages(hits: list[PassageHit], model: str, recipe: Recipe, *, scale: float) -> list[RecalledPassage]:
    """The candidates of a question, most relevant first; of equals, the newer.

    Args:
        model: `Embedder.name` of the similarities.
        scale: of BM25 (`scoring.bm25_scale`).
    """
    scores = score_passages(hits, to_reference(model, [hit.dense for hit in hits]), recipe.weights, scale=scale)
    relevance = calibration_of(model).memories
    return [
        RecalledPassage(
            session=hit.session,
            message=hit.message,
            position=hit.position,
            part=hit.part,
            role=hit.role,
            at=hit.at,
            text=hit.text,
            relevance=relevance(score),
        )
        for score, hit in sorted(zip(scores, hits, strict=True), key=lambda pair: (-pair[0], -pair[1].at))
    ]


def rank_summaries(hits: list[SummaryHit], model: str, recipe: Recipe, *, scale: float) -> list[RecalledSummary]:
    """The summaries found for a question, most relevant first; of equals, the newer. Arguments as above."""
    scores = score_summaries(hits, to_reference(model, [hit.dense for hit in hits]), recipe.weights, scale=scale)
    relevance = calibration_of(model).summaries
    return [
        RecalledSummary(
            session=hit.session,
            created_at=hit.created_at,
            last_at=hit.last_at,
            summary=hit.summary,
            relevance=relevance(score),
        )
        for score, hit in sorted(zip(scores, hits, strict=True), key=lambda pair: (-pair[0], -pair[1].last_at))
    ]


@cache
def _announce(strategy: Strategy) -> None:
    """Says, once for each strategy in a process, that it does no more than another one."""
    if strategy is not Strategy.LOW_LATENCY and RECIPES[strategy] is RECIPES[Strategy.LOW_LATENCY]:
        _log.info("Recall strategy %s runs the recipe of %s", strategy.value, Strategy.LOW_LATENCY.value)
