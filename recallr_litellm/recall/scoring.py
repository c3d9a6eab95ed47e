"""How well a candidate answers a question: dense similarity and BM25, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    nothing = _Message()

    def score(hit: PassageHit, similarity: float) -> float:
        before = messages.get((hit.session, hit.position - 1), nothing)
        after = messages.get((hit.session, hit.position + 1), nothing)
        from_before = weights.previous_bm25 + weights.answered_bm25 * before.asks
        neighbours = from_before * before.bm25 + weights.next_bm25 * after.bm25
        return similarity + scale * (weights.bm25 * hit.bm25 + neighbours / max(hit.parts, 1))

    return [score(hit, similarity) for hit, similarity in zip(hits, dense, strict=True)]


def score_summaries(
    hits: Sequence[SummaryHit], dense: Sequence[float], weights: Weights, *, scale: float
) -> list[float]:
    """Score of each summary, in order. Arguments as for `score_passages`."""
    return [similarity + scale * weights.bm25 * hit.bm25 for hit, similarity in zip(hits, dense, strict=True)]


@dataclass(slots=True)
class _Message:
    """What the candidates say of a message as a neighbour."""

    bm25: float = 0.0
    """Of its best passage."""
    asks: bool = False
    """It ends in a question."""


def _by_place(hits: Sequence[PassageHit]) -> dict[tuple[str, int], _Message]:
    """(session, position) → message."""
    messages: dict[tuple[str, int], _Message] = {}
    for hit in hits:
        message = messages.setdefault((hit.session, hit.position), _Message())
        message.bm25 = max(message.bm25, hit.bm25)
        message.asks |= hit.part == hit.parts - 1 and _asks(hit.text)
    return messages


def _asks(text: str) -> bool:
    return text.rstrip(_AFTER_QUESTION_MARK).endswith(_QUESTION_MARKS)
