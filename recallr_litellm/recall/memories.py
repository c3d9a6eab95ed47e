"""Memories beside passages: how well each answers, and what that says of the messages it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median

import numpy as np

from recallr_litellm.core.knowledge import Reason
from recallr_litellm.core.recalled import RecalledMemory
from recallr_litellm.core.records import Memory, MemoryHit, PassageHit, Span
from recallr_litellm.core.traits import gist, names_a_time
from recallr_litellm.recall.calibration import Logistic
from recallr_litellm.recall.dates import Period
from recallr_litellm.recall.recipes import MemoryWeights
from recallr_litellm.recall.scoring import Asked, Signs, with_sessions
from recallr_litellm.recall.selection import folded


def score_memories(
    hits: Sequence[MemoryHit],
    dense: Sequence[float],
    weights: MemoryWeights,
    asked: Asked,
    *,
    noted: Signs | None = None,
) -> list[float]:
    """Score of each memory, in order; comparable within one question and, calibrated, between questions.

    Args:
        hits: the candidates.
        dense: similarity of each, on the scale of the reference model (`calibration.to_reference`).
        noted: gets the points of each sign, to explain the scores.
    """
    if not hits:
        return []
    newest, oldest = max(hit.created_at for hit in hits), min(hit.created_at for hit in hits)
    of_hits = [_signs(hit, asked, weights, oldest, newest) for hit in hits]
    found = dict.fromkeys(name for of_hit in of_hits for name in of_hit)
    relative = {name: np.array([of_hit.get(name, 0.0) for of_hit in of_hits]) for name in found}
    signs: Signs = {
        "cosine": np.asarray(dense),
        "bm25": asked.scale * weights.bm25 * np.array([hit.bm25 for hit in hits]),
        # What most candidates have tells nothing of any, as with passages.
        **{name: points - points.mean() for name, points in relative.items()},
    }
    scores = np.sum(list(signs.values()), axis=0)
    with_session = with_sessions(hits, scores.tolist(), weights.session)
    if noted is not None:
        noted |= signs
        noted["session"] = with_session - scores
    return with_session


def rank_memories(hits: Sequence[MemoryHit], scores: Sequence[float], relevance: Logistic) -> list[RecalledMemory]:
    """The candidates of a question, most relevant first; of equals, the newer.

    Args:
        scores: of `score_memories`.
        relevance: of their scores.
    """
    best = sorted(zip(scores, hits, strict=True), key=lambda pair: (-pair[0], -pair[1].created_at))
    different = folded(best, key=lambda hit: (hit.event_start, gist(hit.content)), at=lambda hit: hit.created_at)
    return [recalled_memory(hit, relevance(score)) for score, hit in different]


def recalled_memory(memory: Memory | MemoryHit, relevance: float = 0.0) -> RecalledMemory:
    """A memory as it is shown."""
    return RecalledMemory(
        id=memory.id,
        session=memory.session,
        sources=memory.sources,
        at=memory.created_at,
        event_start=memory.event_start,
        event_end=memory.event_end,
        text=memory.content,
        relevance=relevance,
        until=memory.expired_at,
        tells_more=memory.conflict is not None or memory.reason is Reason.CHANGE,
    )


def support(hits: Sequence[MemoryHit], scores: Sequence[float], weights: MemoryWeights) -> dict[str, float]:
    """Message → points for what is known from it: a memory that fits the question says so in other words."""
    if not hits:
        return {}
    usual = median(scores)
    points: dict[str, float] = {}
    for hit, score in zip(hits, scores, strict=True):
        for message in hit.sources:
            points[message] = max(points.get(message, 0.0), weights.support * (score - usual))
    return points


def supported(hits: Sequence[PassageHit], scores: Sequence[float], points: Mapping[str, float]) -> list[float]:
    """The scores of passages with those points, which are centred as all signs are.

    In a long message each passage stands for itself: which of them the memory rests on is not known.
    """
    added = [points.get(hit.message, 0.0) / max(hit.parts, 1) for hit in hits]
    usual = fmean(added) if added else 0.0
    return [score + more - usual for score, more in zip(scores, added, strict=True)]


def _signs(hit: MemoryHit, asked: Asked, weights: MemoryWeights, oldest: int, newest: int) -> dict[str, float]:
    """Points for being what the question asks for, whatever it is about."""
    question = asked.question
    signs: dict[str, float] = {}
    if asked.speakers and _subject(hit.content) in asked.speakers:
        signs["named"] = weights.named
    if question.periods:
        signs["period"] = max(_in_time(hit, period, weights) for period in question.periods)
    if question.asks_when and (hit.event_start is not None or names_a_time(hit.content)):
        signs["tells_when"] = weights.tells_when
    if question.asks_for_now and newest > oldest:
        signs["recent"] = weights.recent * (hit.created_at - oldest) / (newest - oldest)
    return signs


def of_time(hit: MemoryHit, within: Span) -> bool:
    """Whether a memory was told, or is of an event, in a time."""
    start = hit.created_at if hit.event_start is None else hit.event_start
    end = start if hit.event_end is None else hit.event_end
    return within.since <= hit.created_at <= within.until or (start <= within.until and end >= within.since)


def _subject(text: str) -> str:
    """The word that a fact begins with: mostly whom it is about."""
    return text.partition(" ")[0].removesuffix("'s").removesuffix("’s")


def _in_time(hit: MemoryHit, period: Period, weights: MemoryWeights) -> float:
    """Points for having happened, or having been told, in a time."""
    spans = [(hit.created_at, hit.created_at)]
    if hit.event_start is not None:
        spans.append((hit.event_start, hit.event_start if hit.event_end is None else hit.event_end))

    def meets(start: int, end: int) -> bool:
        return any(first < end and last >= start for first, last in spans)

    points = weights.period * period.precision if meets(period.start, period.end) else 0.0
    return points + weights.near if period.near and meets(*period.near) else points
