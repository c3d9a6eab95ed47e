"""Candidates as rankings: scored, each text once, with their relevance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from recallr_litellm.core.recalled import RecalledPassage, RecalledSummary
from recallr_litellm.core.records import PassageHit, SummaryHit
from recallr_litellm.recall.calibration import Logistic, calibration_of, to_reference
from recallr_litellm.recall.memories import supported
from recallr_litellm.recall.neighbours import recalled_passage
from recallr_litellm.recall.recipes import Weights
from recallr_litellm.recall.scoring import Asked, Signs, score_passages, score_summaries
from recallr_litellm.recall.selection import Place, folded, newest_first


def score_and_fold(
    hits: list[PassageHit],
    model: str,
    weights: Weights,
    asked: Asked,
    told: Mapping[str, float] | None = None,
    *,
    noted: Signs | None = None,
) -> list[tuple[float, PassageHit]]:
    """The candidates of a question with their scores, best first, of equals the newer; the same words once.

    Args:
        model: `Embedder.name` of the similarities.
        told: message → points for what memories know from it (`memories.support`).
        noted: gets the points of each sign, to explain the scores.
    """
    scores = score_passages(hits, to_reference(model, [hit.dense for hit in hits]), weights, asked, noted=noted)
    if told:
        without, scores = scores, supported(hits, scores, told)
        if noted is not None:
            noted["memories"] = np.subtract(scores, without)
    best = sorted(zip(scores, hits, strict=True), key=lambda pair: (-pair[0], -pair[1].at))
    return folded(best, key=lambda hit: (hit.role, hit.traits.gist or hit.id), at=lambda hit: hit.at)


def recalled(
    scored: Sequence[tuple[float, PassageHit]],
    newest: Mapping[Place, PassageHit],
    relevance: Logistic,
    *,
    at_least: int,
    at_most: int,
    threshold: float,
) -> list[RecalledPassage]:
    """The best passages, most relevant first, what is newest of something before what it replaces.

    Args:
        scored: of `score_and_fold`.
        relevance: of their scores.
        at_least: statements, and of those that state nothing as many; beyond them only what reaches the threshold, or
            is out of date, for what is newest then is marked.
        at_most: likewise.
    """

    def worth_showing(*, stating: bool) -> Iterator[RecalledPassage]:
        enough = False
        of_kind = (pair for pair in scored if pair[1].states_nothing is not stating)
        for place, (score, hit) in enumerate(islice(of_kind, at_most)):
            if enough and (hit.message, hit.part) not in newest:
                continue
            relevant = relevance(score)
            enough = enough or (place >= at_least and relevant < threshold)
            if not enough or (hit.message, hit.part) in newest:
                yield recalled_passage(hit, relevant)

    last = {place: recalled_passage(hit) for place, hit in newest.items()}
    best, asking = newest_first(list(worth_showing(stating=True)), last), worth_showing(stating=False)
    return sorted([*best, *asking], key=lambda passage: -passage.relevance)


def rank_summaries(
    hits: list[SummaryHit], model: str, weights: Weights, asked: Asked, *, noted: Signs | None = None
) -> list[RecalledSummary]:
    """The summaries found for a question, most relevant first, of equals the newer; the same words once."""
    scores = score_summaries(hits, to_reference(model, [hit.dense for hit in hits]), weights, asked, noted=noted)
    relevance = calibration_of(model).summaries
    best = sorted(zip(scores, hits, strict=True), key=lambda pair: (-pair[0], -pair[1].last_at))
    return [
        RecalledSummary(
            session=hit.session,
            created_at=hit.created_at,
            last_at=hit.last_at,
            summary=hit.summary,
            relevance=relevance(score),
        )
        for score, hit in folded(best, key=lambda hit: hit.gist, at=lambda hit: hit.last_at)
    ]
