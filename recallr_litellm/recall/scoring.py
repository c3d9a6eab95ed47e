"""How well a candidate answers a question: all signs of relevance, on one scale."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from recallr_litellm.core.records import MemoryHit, PassageHit, SummaryHit
from recallr_litellm.recall.dates import Period, names_a_time
from recallr_litellm.recall.names import speaker
from recallr_litellm.recall.question import Question
from recallr_litellm.recall.recipes import Weights

_QUESTION_MARKS = ("?", "？", "؟")
_AFTER_QUESTION_MARK = " \n\t\"'”’»)]*_`"
_BEST_OF_SESSION = 3
_FEW_WORDS = 12
_TOLD_BESIDES = 8
"""Words beside its questions from which on a message tells something itself."""
_SENTENCE = re.compile(r"[^.!?？؟]+[.!?？؟]*")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as far as scoring goes."""

    question: Question = field(default_factory=lambda: Question(""))
    speakers: frozenset[str] = frozenset()
    """Those that it names."""
    scale: float = 1.0
    """Factor on every BM25 score (`bm25_scale`)."""


_ANYTHING = Asked()


def bm25_scale(terms: int, weights: Weights) -> float:
    """Factor on every BM25 score of a question with that many terms: 1 up to `long_question_terms`."""
    return min(1.0, weights.long_question_terms / max(terms, 1))


def score_passages(
    hits: Sequence[PassageHit],
    dense: Sequence[float],
    weights: Weights,
    asked: Asked = _ANYTHING,
) -> list[float]:
    """Score of each passage, in order; comparable within one question and, calibrated, between questions.

    What the messages around it say, and its session, counts as far as they are among the candidates.

    Args:
        hits: the candidates.
        dense: similarity of each, on the scale of the reference model (`calibration.to_reference`).
    """
    if not hits:
        return []
    around = _by_place(hits, dense)
    newest, oldest = max(hit.at for hit in hits), min(hit.at for hit in hits)

    scale = asked.scale
    signs = [_signs(hit, asked, weights, oldest, newest) + _neighbours(hit, around, weights, scale) for hit in hits]
    # What most candidates have tells nothing of any: without this, a question that names somebody would raise
    # the relevance of all that they ever said.
    usual = fmean(signs)
    scores = [
        similarity + scale * weights.bm25 * hit.bm25 + _telling(hit, weights) + (sign - usual)
        for hit, similarity, sign in zip(hits, dense, signs, strict=True)
    ]
    return _with_sessions(hits, scores, weights)


def score_summaries(
    hits: Sequence[SummaryHit],
    dense: Sequence[float],
    weights: Weights,
    asked: Asked = _ANYTHING,
) -> list[float]:
    """Score of each summary, in order. Arguments as for `score_passages`."""
    periods = asked.question.periods

    def score(hit: SummaryHit, similarity: float) -> float:
        in_time = max((_in_time(hit.last_at, period, weights) for period in periods), default=0.0)
        return similarity + asked.scale * weights.bm25 * hit.bm25 + in_time

    return [score(hit, similarity) for hit, similarity in zip(hits, dense, strict=True)]


def _signs(hit: PassageHit, asked: Asked, weights: Weights, oldest: int, newest: int) -> float:
    """Points for being what the question asks for, whatever it is about."""
    question = asked.question
    points = 0.0
    if asked.speakers and speaker(hit.text) in asked.speakers:
        points += weights.speaker
    if question.periods:
        points += max(_in_time(hit.at, period, weights) for period in question.periods)
    if question.asks_when and names_a_time(hit.text):
        points += weights.tells_when
    if question.asks_what_assistant_said and hit.role == "assistant":
        points += weights.assistant
    if question.asks_for_now and newest > oldest:
        points += weights.recent * (hit.at - oldest) / (newest - oldest)
    return points


def _telling(hit: PassageHit, weights: Weights) -> float:
    """Points, none or fewer, for how much a passage can tell at all."""
    words = hit.text.count(" ") + 1
    points = weights.short * (1 - words / _FEW_WORDS) if words < _FEW_WORDS else 0.0
    return points + weights.only_asks if hit.parts == 1 and only_asks(hit.text) else points


def ends_asking(text: str) -> bool:
    """Whether a text ends in a question."""
    return text.rstrip(_AFTER_QUESTION_MARK).endswith(_QUESTION_MARKS)


def only_asks(text: str) -> bool:
    """Whether a message ends in a question and tells next to nothing before it."""
    if not ends_asking(text):
        return False
    told = (s for s in _SENTENCE.findall(text) if not s.endswith(_QUESTION_MARKS))
    return sum(len(sentence.split()) for sentence in told) < _TOLD_BESIDES


def session_scores(hits: Sequence[PassageHit | MemoryHit], scores: Sequence[float]) -> dict[str, float]:
    """Session → mean score of its best passages, or memories."""
    of_session: defaultdict[str, list[float]] = defaultdict(list)
    for hit, score in zip(hits, scores, strict=True):
        of_session[hit.session].append(score)
    return {session: fmean(sorted(values)[-_BEST_OF_SESSION:]) for session, values in of_session.items()}


def _with_sessions(hits: Sequence[PassageHit], scores: Sequence[float], weights: Weights) -> list[float]:
    sessions = session_scores(hits, scores)
    middle = fmean(sessions.values())
    return [score + weights.session * (sessions[hit.session] - middle) for hit, score in zip(hits, scores, strict=True)]


def _in_time(at: int, period: Period, weights: Weights) -> float:
    points = weights.period * period.precision if period.start <= at < period.end else 0.0
    if period.near and period.near[0] <= at < period.near[1]:
        points += weights.near
    return points


class _Message:
    """What the candidates say of a message as a neighbour."""

    __slots__ = ("bm25", "dense", "last")

    def __init__(self) -> None:
        self.bm25 = 0.0
        """Of its best passage, as is `dense`."""
        self.dense = -1.0
        self.last = ""
        """Its last passage, if that is among the candidates."""

    @property
    def asks(self) -> bool:
        """It ends in a question."""
        return ends_asking(self.last)


_Around = dict[tuple[str, int], _Message]


def _neighbours(hit: PassageHit, around: _Around, weights: Weights, scale: float) -> float:
    session, position = hit.session, hit.position
    words = 0.0
    if (before := around.get((session, position - 1))) and before.bm25 and before.asks:
        words += weights.answered_bm25 * before.bm25
    if further := around.get((session, position - 2)):
        words += weights.second_previous_bm25 * further.bm25
    if further := around.get((session, position + 2)):
        words += weights.second_next_bm25 * further.bm25
    points = scale * words
    for steps, weight in (
        (1, weights.next_dense),
        (2, weights.second_next_dense),
        (-2, weights.second_previous_dense),
    ):
        near = around.get((session, position + steps))
        if near and near.dense > weights.unrelated:
            points += weight * (near.dense - weights.unrelated)
    return points / max(hit.parts, 1)


def _by_place(hits: Iterable[PassageHit], dense: Iterable[float]) -> _Around:
    """(session, position) → message."""
    messages: defaultdict[tuple[str, int], _Message] = defaultdict(_Message)
    for hit, similarity in zip(hits, dense, strict=False):
        message = messages[hit.session, hit.position]
        if hit.bm25 > message.bm25:
            message.bm25 = hit.bm25
        if similarity > message.dense:
            message.dense = similarity
        if hit.part == hit.parts - 1:
            message.last = hit.text
    return dict(messages)
