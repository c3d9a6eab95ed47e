"""The strategies, as recipes over the same parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from recallr_litellm.core.options import Strategy


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each sign of relevance counts, on the scale of a cosine similarity (weight 1).

    Measured on the five LoCoMo conversations by `tests/benchmarks/calibrate.py` (names taken out
    of the questions, as a user speaking of themselves would ask; recall of evidence in %):

    | | R@5 | R@10 | R@20 | R@50 |
    |---|---|---|---|---|
    | dense alone | 49.2 | 60.4 | 71.7 | 82.8 |
    | + BM25 | 59.1 | 68.4 | 74.9 | 84.6 |
    | + BM25 of the messages before and after | 61.8 | 72.0 | 77.5 | 86.7 |
    | + a question before it | 64.9 | 73.8 | 79.2 | 86.6 |
    """

    bm25: float = 0.04
    """Per point. On LoCoMo, where BM25 carries, .02 to .06 differ by 1.5 points of R@10. On assistant chats
    with long answers, where dense carries, .04 costs one point of the evidence that fits into 2000 tokens
    (95.5 → 94.8 %); fusion with equal weights costs three."""
    previous_bm25: float = 0.015
    """Per point of the message before, divided by the passages of this one: "At six." answers when
    the words of the query stand in what it replies to. In a long answer each passage stands for itself."""
    next_bm25: float = 0.01
    """Likewise for the message after."""
    answered_bm25: float = 0.02
    """On top of `previous_bm25` when the message before ends in a question."""
    long_question_terms: int = 16
    """BM25 is a sum over the terms of a question, cosine is not. Questions with more terms than any
    that was measured have their BM25 scaled down to this many, or a pasted page would be matched by words alone."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one strategy searches for and keeps."""

    turn_candidates: int = 60
    """Passages fetched by each of dense and BM25 search; the union is scored."""
    summary_candidates: int = 20
    max_summaries: int = 5
    weights: Weights = Weights()


_LOW_LATENCY = Recipe()

RECIPES: Mapping[Strategy, Recipe] = MappingProxyType(dict.fromkeys(Strategy, _LOW_LATENCY))
"""The recipe of each strategy. Those that would do more still run the one of low_latency."""
