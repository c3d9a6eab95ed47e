"""How well a candidate answers a question: all signs of relevance, on one scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.records import MemoryHit, PassageHit, SummaryHit
from recallr_litellm.recall.dates import Period
from recallr_litellm.recall.likeness import Likeness
from recallr_litellm.recall.question import Question
from recallr_litellm.recall.recipes import Weights

Points = NDArray[np.float64]
"""One number for each candidate, in their order."""
Signs = dict[str, Points]
"""Sign of relevance → its points. A score is their sum."""

_BEST_OF_SESSION = 3
_FEW_WORDS = 12


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as far as scoring goes."""

    question: Question = field(default_factory=lambda: Question(""))
    speakers: frozenset[str] = frozenset()
    """Those that it names."""
    scale: float = 1.0
    """Factor on every BM25 score (`bm25_scale`)."""
    terms: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    """Those of the question, without names that tell nothing; unique."""
    likeness: Likeness | None = None
    """What compares these with the terms of passages; None: only the same are alike."""


_ANYTHING = Asked()


def bm25_scale(terms: int, weights: Weights) -> float:
    """Factor on every BM25 score of a question with that many terms: 1 up to `long_question_terms`."""
    return min(1.0, weights.long_question_terms / max(terms, 1))


def score_passages(
    hits: Sequence[PassageHit],
    dense: Sequence[float],
    weights: Weights,
    asked: Asked = _ANYTHING,
    *,
    noted: Signs | None = None,
) -> list[float]:
    """Score of each passage, in order; comparable within one question and, calibrated, between questions.

    What the messages around it say, and its session, counts as far as they are among the candidates.

    Args:
        hits: the candidates.
        dense: similarity of each, on the scale of the reference model (`calibration.to_reference`).
        noted: gets the points of each sign, to explain the scores.
    """
    if not hits:
        return []
    relative = _asked_for(hits, asked, weights)
    relative["neighbours"] = _neighbours(hits, np.asarray(dense), _bm25(hits, asked), weights)
    # What most candidates have tells nothing of any: without this, a question that names somebody would raise
    # the relevance of all that they ever said.
    stating = statements(hits)
    signs = _content(hits, dense, weights, asked) | _telling(hits, weights)
    signs |= {name: points - points[stating].mean() for name, points in relative.items()}
    scores = _sum(signs)
    with_session = with_sessions(hits, scores.tolist(), weights.session)
    if noted is not None:
        noted |= signs
        noted["session"] = np.asarray(with_session) - scores
    return with_session


def are_lines(hits: Sequence[PassageHit]) -> bool:
    """Whether most of what was found are lines of a chat export, `Name: text`."""
    return 2 * sum(bool(hit.traits.speaker) for hit in hits) > len(hits)


def statements(hits: Sequence[PassageHit]) -> NDArray[np.bool_]:
    """Which of the candidates state something; all, where none does.

    Only among these are means and rarities taken: however often something is asked, and in however many words, the
    statements keep their order.
    """
    stating = np.array([not hit.states_nothing for hit in hits], bool)
    return stating if stating.any() else ~stating


def score_summaries(
    hits: Sequence[SummaryHit],
    dense: Sequence[float],
    weights: Weights,
    asked: Asked = _ANYTHING,
    *,
    noted: Signs | None = None,
) -> list[float]:
    """Score of each summary, in order. Arguments as for `score_passages`."""
    signs: Signs = {
        "cosine": np.asarray(dense),
        "bm25": asked.scale * weights.bm25 * np.array([hit.bm25 for hit in hits]),
    }
    if periods := asked.question.periods:
        signs["period"] = np.array(
            [max(_in_time([hit.last_at], period, weights) for period in periods) for hit in hits]
        )
    if noted is not None:
        noted |= signs
    scores: list[float] = _sum(signs).tolist()
    return scores


def _asked_for(hits: Sequence[PassageHit], asked: Asked, weights: Weights) -> Signs:
    """Points for being what the question asks for, whatever it is about."""
    question = asked.question
    signs: Signs = {}
    if asked.speakers:
        signs["speaker"] = weights.speaker * np.array([hit.traits.speaker in asked.speakers for hit in hits])
    if question.periods:
        times = [(hit.at, *hit.times) for hit in hits]
        signs["period"] = np.array(
            [max(_in_time(of_hit, period, weights) for period in question.periods) for of_hit in times]
        )
    if question.asks_when:
        # `names_a_time` reads English, the times that were written down come from seven languages.
        signs["tells_when"] = weights.tells_when * np.array(
            [hit.traits.names_a_time or bool(hit.times) for hit in hits]
        )
    if question.asks_what_assistant_said:
        signs["assistant"] = weights.assistant * np.array([hit.role == "assistant" for hit in hits])
    if question.asks_for_now:
        at = np.array([hit.at for hit in hits], float)
        stated = at[statements(hits)]
        if span := np.ptp(stated):
            signs["recent"] = weights.recent * np.clip((at - stated.min()) / span, 0, 1)
    return signs


def by_content(hits: Sequence[PassageHit], dense: Sequence[float], weights: Weights, asked: Asked) -> Points:
    """Points for saying what the question says, in its words or others. Arguments as for `score_passages`."""
    return _sum(_content(hits, dense, weights, asked))


def _content(hits: Sequence[PassageHit], dense: Sequence[float], weights: Weights, asked: Asked) -> Signs:
    signs: Signs = {"cosine": np.asarray(dense), "bm25": weights.bm25 * _bm25(hits, asked)}
    if asked.likeness is not None:
        alike = asked.likeness.points([hit.terms for hit in hits], statements(hits))
        signs["likeness"] = weights.likeness * asked.scale * alike
    return signs


def _sum(signs: Signs) -> Points:
    points: Points = np.sum(list(signs.values()), axis=0)
    return points


def _bm25(hits: Sequence[PassageHit], asked: Asked) -> Points:
    return asked.scale * np.array([hit.bm25 for hit in hits])


def _telling(hits: Sequence[PassageHit], weights: Weights) -> Signs:
    """Points, none or fewer, for how much a passage can tell at all."""
    words = np.array([hit.traits.words for hit in hits])
    states_nothing = np.array([hit.states_nothing for hit in hits])
    return {
        "short": weights.short * np.clip(1 - words / _FEW_WORDS, 0, None),
        "states_nothing": weights.states_nothing * states_nothing,
    }


def session_scores(hits: Sequence[PassageHit | MemoryHit], scores: Sequence[float]) -> dict[str, float]:
    """Session → mean score of its best statements, or memories; sessions without one are left out."""
    of_session: defaultdict[str, list[float]] = defaultdict(list)
    for hit, score in zip(hits, scores, strict=True):
        if isinstance(hit, MemoryHit) or not hit.states_nothing:
            of_session[hit.session].append(score)
    return {session: fmean(sorted(values)[-_BEST_OF_SESSION:]) for session, values in of_session.items()}


def with_sessions(hits: Sequence[PassageHit | MemoryHit], scores: Sequence[float], weight: float) -> list[float]:
    """The scores, each with a share of how far its session is above the others."""
    sessions = session_scores(hits, scores)
    middle = fmean(sessions.values()) if sessions else 0.0
    return [
        score + weight * (sessions.get(hit.session, middle) - middle) for hit, score in zip(hits, scores, strict=True)
    ]


def _in_time(times: Sequence[int], period: Period, weights: Weights) -> float:
    """Points for the best of the times at which a passage was said, or which it names."""
    points = weights.period * period.precision if any(period.start <= at < period.end for at in times) else 0.0
    if period.near and any(period.near[0] <= at < period.near[1] for at in times):
        points += weights.near
    return points + weights.names_day if period.day in times else points


def _neighbours(hits: Sequence[PassageHit], dense: Points, bm25: Points, weights: Weights) -> Points:
    """Points for what the messages around each passage say, as far as they are among the candidates."""
    sessions: dict[str, int] = {}
    # Messages in the order of their sessions and, there, of their positions, which so far apart never meet.
    places = np.array(
        [(sessions.setdefault(hit.session, len(sessions)) << 32) + hit.position for hit in hits], np.int64
    )
    messages, message_of = np.unique(places, return_inverse=True)
    # What is said of a message is said by its best passage. The last row stands for those that are not here.
    words, meaning, asks = (np.full(len(messages) + 1, least) for least in (0.0, -1.0, 0.0))
    np.maximum.at(words, message_of, bm25)
    np.maximum.at(meaning, message_of, dense)
    np.maximum.at(asks, message_of, [hit.traits.ends_asking and hit.part == hit.parts - 1 for hit in hits])
    near = np.clip(meaning - weights.unrelated, 0, None)

    def at(steps: int) -> NDArray[np.intp]:
        rows = np.searchsorted(messages, places + steps)
        found = messages[np.minimum(rows, len(messages) - 1)] == places + steps
        return np.where(found, rows, len(messages))

    second_previous, previous, following, second_next = at(-2), at(-1), at(1), at(2)
    points: Points = (
        weights.answered_bm25 * (words * asks)[previous]
        + weights.second_previous_bm25 * words[second_previous]
        + weights.second_next_bm25 * words[second_next]
        + weights.next_dense * near[following]
        + weights.second_next_dense * near[second_next]
        + weights.second_previous_dense * near[second_previous]
    )
    points /= np.array([max(hit.parts, 1) for hit in hits])
    return points
