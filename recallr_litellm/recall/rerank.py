"""A cross-encoder's opinion of the best of a ranking, and what becomes of it."""

from __future__ import annotations

import asyncio
import math
import statistics
from collections.abc import Sequence
from typing import Protocol

from recallr_litellm.core.recalled import RecalledPassage
from recallr_litellm.errors import RerankerTooSlow, RerankerUnavailable
from recallr_litellm.metrics import RERANK, RERANKS

WEIGHT = 0.5
"""Of the cross-encoder's score; the rest is the first score's. Both are standardised among the candidates, since
cross-encoders differ in scale. A cross-encoder reads words alone: what it cannot know (who speaks, when it was said,
what was said before and after) is in the first score. Halves, for want of a measurement: no cross-encoder was at hand
where this was written; with one, `python -m tests.benchmarks.locomo --rerank MODEL` measures."""

PATIENCE_SECONDS = 2.0
"""Longest wait where the caller names no time."""


class Scores(Protocol):
    """What is used of `stores.reranker.Reranker`."""

    async def scores(self, question: str, passages: Sequence[str]) -> list[float]: ...


class Reranking:
    """Puts the best of a ranking into another order.

    Args:
        encoder: None where there is none; then every ranking stays as it is.
        candidates: how many of the best are looked at.
    """

    def __init__(self, encoder: Scores | None = None, candidates: int = 20) -> None:
        self._encoder = encoder
        self._candidates = candidates

    async def __call__(
        self, question: str, ranked: Sequence[RecalledPassage], *, until: float | None
    ) -> tuple[list[RecalledPassage], RerankerUnavailable | None]:
        """The ranking, reordered, or as it was with the reason why.

        Args:
            ranked: most relevant first.
            until: when to be done, on the clock of the event loop, in seconds.
        """
        best, rest = ranked[: self._candidates], ranked[self._candidates :]
        if self._encoder is None or len(best) < 2:
            return list(ranked), None
        try:
            async with asyncio.timeout_at(until or asyncio.get_running_loop().time() + PATIENCE_SECONDS):
                with RERANK.time():
                    scores = await self._encoder.scores(question, [passage.text for passage in best])
        except TimeoutError:
            RERANKS.labels("timeout").inc()
            return list(ranked), RerankerTooSlow("the reranker was not done in time")
        except RerankerUnavailable as error:
            RERANKS.labels("failed").inc()
            return list(ranked), error
        RERANKS.labels("done").inc()
        return [*reordered(best, scores), *rest], None


def reordered(ranked: Sequence[RecalledPassage], scores: Sequence[float]) -> list[RecalledPassage]:
    """The passages by both scores together; equals stay in their order.

    Relevance stays with the place: the best of the new order is as relevant as the best of the old one was. So a
    threshold lets through as many as before, and means what was measured for the first score, while which
    they are is said by both.

    Args:
        ranked: most relevant first.
        scores: the cross-encoder's, in the same order, on any scale.
    """
    first = _standardised([_logit(passage.relevance) for passage in ranked])
    second = _standardised(scores)
    both = [(1 - WEIGHT) * one + WEIGHT * other for one, other in zip(first, second, strict=True)]
    order = sorted(range(len(ranked)), key=lambda place: -both[place])
    return [ranked[place]._replace(relevance=ranked[new].relevance) for new, place in enumerate(order)]


def _logit(relevance: float) -> float:
    """Of which relevance is the logistic: the first score, but for a factor and a constant."""
    within = min(max(relevance, 1e-12), 1 - 1e-12)
    return math.log(within / (1 - within))


def _standardised(values: Sequence[float]) -> list[float]:
    """With a mean of 0 and a spread of 1; all 0 where they are all the same."""
    mean, spread = statistics.fmean(values), statistics.pstdev(values)
    return [(value - mean) / spread if spread > 0 else 0.0 for value in values]
