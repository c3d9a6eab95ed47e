"""How well a candidate answers a question: dense similarity and BM25, on one scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from recallr_litellm.core.records import PassageHit, SummaryHit
from recallr_litellm.recall.recipes import Weights

_QUESTION_MARKS = ("?", "？", "؟")
_AFTER_QUESTION_MARK = " \n\t\"'”’»)]*_`"


def bm25_scale(terms: int, weights: Weights) -> float:
    """Factor on every BM25 score of a question with that many terms: 1 up to `long_question_terms`."""
    return min(1.0, weights.long_question_terms / max(terms, 1))


def score_passages(
    hits: Sequence[PassageHit], dense: Sequence[float], weights: Weights, *, scale: float
) -> list[float]:
    """Score of each passage, in order; comparable within one question and, calibrated, between questions.

    What the messages before and after say counts as far as they are among the candidates.

    Args:
        hits: the candidates.
        dense: similarity of each, on the scale of the reference model (`calibration.to_reference`).
        scale: of BM25 (`bm25_scale`).
    """
    messages = _by_place(hits)

    def score(hit: PassageHit, similarity: float) -> float:
        neighbours = 0.0
        if before := messages.get((hit.session, hit.position - 1)):
            neighbours = (weights.previous_bm25 + weights.answered_bm25 * before.asks) * before.bm25
        if after := messages.get((hit.session, hit.position + 1)):
            neighbours += weights.next_bm25 * after.bm25
        return similarity + scale * (weights.bm25 * hit.bm25 + neighbours / max(hit.parts, 1))

    return [score(hit, similarity) for hit, similarity in zip(hits, dense, strict=True)]


def score_summaries(
    hits: Sequence[SummaryHit], dense: Sequence[float], weights: Weights, *, scale: float
) -> list[float]:
    """Score of each summary, in order. Arguments as for `score_passages`."""
    return [similarity + scale * weights.bm25 * hit.bm25 for hit, similarity in zip(hits, dense, strict=True)]


class _Message:
    """What the candidates say of a message as a neighbour."""

    __slots__ = ("bm25", "last")

    def __init__(self) -> None:
        self.bm25 = 0.0
        """Of its best passage."""
        self.last = ""
        """Its last passage, if that is among the candidates."""

    @property
    def asks(self) -> bool:
        """It ends in a question."""
        return self.last.rstrip(_AFTER_QUESTION_MARK).endswith(_QUESTION_MARKS)


def _by_place(hits: Sequence[PassageHit]) -> dict[tuple[str, int], _Message]:
    """(session, position) → message."""
    messages: defaultdict[tuple[str, int], _Message] = defaultdict(_Message)
    for hit in hits:
        message = messages[hit.session, hit.position]
        if hit.bm25 > message.bm25:
            message.bm25 = hit.bm25
        if hit.part == hit.parts - 1:
            message.last = hit.text
    return messages
