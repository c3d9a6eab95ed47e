"""The strategies, as recipes over the same parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from recallr_litellm.core.options import Strategy


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each sign of relevance counts, on the scale of a cosine similarity (weight 1).

    Listwise softmax regression on LoCoMo (`tests/benchmarks/locomo.py`), rounded; signs that did not hold on both
    halves, or that cost the first-person set, were left out. Recall of evidence in %, all passages scored:

    | fitted on | measured on | R@5 | R@10 | R@20 | R@50 |
    |---|---|---|---|---|---|
    | conv-26, 30, 41, all signs | conv-42, 43 | 72.4 | 78.7 | 83.6 | 91.2 |
    | conv-42, 43, all signs | conv-26, 30, 41 | 75.4 | 83.9 | 88.3 | 93.8 |
    | these weights, without likeness and with .034 for BM25 | all five | 74.9 | 81.7 | 86.5 | 92.4 |

    Without one of them (R@10 / R@50; the weights before the last three signs stood at 81.5 / 91.8): BM25 77.0 / 90.6,
    answered 79.0 / 91.5, second previous 80.0 / 91.5, second next 80.8 / 91.7, next 81.1 / 91.8, speaker 79.3 / 90.8,
    period 80.6 / 91.5, when 81.0 / 92.1, session 80.5 / 91.2. The three: only asks, short and the dense of the
    second neighbours, together 81.7 / 92.4.

    Likeness, all signs fitted on one half and measured on the other: R@10 / R@20 / R@50 80.1 / 86.1 / 91.5 without
    it, 81.0 / 86.5 / 92.3 with it, multi-hop @50 79.9 and 81.3. With the weights below, in the product: multi-hop @10
    55.3 and 57.5, evidence shown in 2000 tokens 86.6 and 87.7. Vectors of the words in their sentence, 384 dimensions
    each, were better (81.8 / 86.7 / 93.0, multi-hop 83.6) and would take twenty times the room of all else; cut to 64
    dimensions in 8 bits they were no better than these, which take none.

    Left out: the length of a passage and "it is a question" (better on LoCoMo by .4 at 50, but single users state
    facts in messages that end in a question: 99 → 92 % of the evidence in 1000 tokens), numbers for "how many"
    (nothing), BM25 and dense of the message before where it asks nothing (nothing). `assistant` and `recent` are
    not asked for on LoCoMo; they are small and were seen to do no harm on the first-person set.
    """

    bm25: float = 0.02
    """Per point."""
    likeness: float = 0.7
    """Per point of `recall/likeness.py`: what BM25 misses when the words are others."""
    next_dense: float = 0.20
    """Of how far the message after is above `unrelated`, divided by the passages of this one."""
    answered_bm25: float = 0.028
    """Per point of the message before, if that ends in a question; divided by the passages of this one: "At six."
    answers when the words of the query stand in what it replies to. In a long answer each passage stands for itself."""
    second_previous_bm25: float = 0.015
    """Per point of the message before that, mostly the same speaker's; divided likewise."""
    second_next_bm25: float = 0.010
    """Likewise for the second message after."""
    second_previous_dense: float = 0.05
    """Of how far the message before the one before is above `unrelated`; divided likewise."""
    second_next_dense: float = 0.10
    """Likewise for the second message after."""
    only_asks: float = -0.10
    """For a message that asks and tells next to nothing."""
    short: float = -0.15
    """For a passage without a word, less with each, none from twelve on: "Thanks, you too!" resembles much."""
    session: float = 0.2
    """Of how far the three best passages of its session are, in the mean, above those of the other sessions."""
    speaker: float = 0.38
    """For a line of `Name: text` whose speaker the question names."""
    period: float = 0.6
    """For what was said in the month that the question names."""
    near: float = 0.8
    """On top, for what was said within days of the day that it names."""
    tells_when: float = 0.33
    """For a passage with a time in it, when the question asks for one."""
    assistant: float = 0.1
    """For the assistant's words, when the question asks for those."""
    recent: float = 0.1
    """For the newest of the candidates, none for the oldest, when the question asks for what is so now."""
    unrelated: float = 0.1
    """Cosine at which a neighbour says nothing."""
    long_question_terms: int = 16
    """BM25 is a sum over the terms of a question, cosine is not. Questions with more terms than any
    that was measured have their BM25 scaled down to this many, or a pasted page would be matched by words alone."""


@dataclass(frozen=True, slots=True)
class MemoryWeights:
    """The same for memories: facts, each in a sentence of its own.

    Listwise softmax regression on LoCoMo's recorded facts (`tests/benchmarks/locomo.py --facts`), rounded; fitted on
    conv-26, 30, 41 or on conv-42, 43 each is within a fifth of the fit on all. Computed from the candidates of
    balanced, as are all figures here; a fact counts for the messages it rests on:

    | recall of evidence in %, facts alone | R@5 | R@10 | R@20 | R@50 |
    |---|---|---|---|---|
    | dense | 56.6 | 61.4 | 66.9 | 72.0 |
    | and BM25 | 58.4 | 63.4 | 67.7 | 73.1 |
    | and named | 59.9 | 65.1 | 69.1 | 74.2 |
    | and period, near | 61.2 | 66.5 | 69.8 | 74.3 |
    | and tells when | 61.5 | 66.6 | 69.8 | 74.3 |
    | and session | 63.1 | 67.7 | 71.1 | 74.7 |

    Left out: what its messages score (better alone, 69.7 instead of 66.6 % of the evidence in 500 tokens, but beside
    the passages it repeats what they say: 78.5 instead of 79.3), the best of the memories connected with it (less).
    `recent` is as for passages, and not asked for on LoCoMo.
    """

    bm25: float = 0.022
    """Per point."""
    named: float = 0.25
    """For one that begins with the name of a speaker whom the question names."""
    period: float = 0.3
    """For what happened or was told in the month that the question names."""
    near: float = 0.4
    """On top, for what happened or was told within days of the day that it names."""
    tells_when: float = 0.1
    """For one with a time of its own or in its words, when the question asks for one."""
    session: float = 0.6
    """Of how far the three best memories of its session are, in the mean, above those of the other sessions."""
    recent: float = 0.1
    """For the newest of the candidates, none for the oldest, when the question asks for what is so now."""
    support: float = 0.3
    """Given to a passage: of how far the best memory that rests on its message is above the median. With 0, .3 and .5
    balanced had R@5 of 73.5, 75.6 and 75.4 over both, R@10 of 82.2, 82.6 and 83.0."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one strategy searches for and keeps."""

    turn_candidates: int = 60
    """Passages fetched by each of dense and BM25 search; the union is scored."""
    memory_candidates: int = 60
    """Memories, likewise."""
    summary_candidates: int = 20
    max_summaries: int = 5
    sessions_read: int = 0
    """Sessions of the best candidates of which then all passages are looked at; 0 for none."""
    passages_read: int = 150
    """Most passages of them."""
    connected: int = 0
    """Most memories that are shown below others, since they are connected with them."""
    weights: Weights = Weights()
    memory_weights: MemoryWeights = MemoryWeights()


_LOW_LATENCY = Recipe()
_BALANCED = Recipe(turn_candidates=80, memory_candidates=80, sessions_read=8, connected=12)

RECIPES: Mapping[Strategy, Recipe] = MappingProxyType(
    {
        Strategy.LOW_LATENCY: _LOW_LATENCY,
        Strategy.BALANCED: _BALANCED,
        Strategy.AGENTIC: _BALANCED,
        Strategy.AUTO: _BALANCED,
    }
)
"""The recipe of each strategy. `agentic` searches on from what that of balanced finds; `auto` chooses before it."""
