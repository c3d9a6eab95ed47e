"""The strategies, as recipes over the same parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from recallr_litellm.core.options import Strategy


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each sign of relevance counts, on the scale of a cosine similarity (weight 1).

    Listwise softmax regression on LoCoMo, rounded; signs that did not hold on both halves, or that cost the
    first-person set, were left out. What each brings: `tests/benchmarks/README.md`, "Weights".
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
    states_nothing: float = -0.10
    """For a message that only asks, or only says that it does not know."""
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
    names_day: float = 0.2
    """On top, for what names the very day that it names."""
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

    Fitted likewise, on LoCoMo's recorded facts; a fact counts for the messages it rests on.
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
    """Given to a passage: of how far the best memory that rests on its message is above the median."""


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
    """Most memories that are shown since what is shown leads to them."""
    weights_of_lines: Weights = Weights()
    """Where most of what is remembered are lines of a chat export, `Name: text`."""
    weights_of_chats: Weights = Weights(
        bm25=0.015,
        likeness=0.4,
        next_dense=0.4,
        answered_bm25=0.014,
        second_previous_bm25=0.0,
        second_previous_dense=0.15,
        second_next_bm25=0.0,
        tells_when=0.1,
        assistant=0.2,
    )
    """Else: one user and an assistant, whose answers are long. There a passage's own meaning tells more, and the words
    of those around it less. Fitted on half of the first-person questions, by coordinate search, rounded."""
    memory_weights: MemoryWeights = MemoryWeights()

    def weights(self, *, lines: bool) -> Weights:
        """Those of what is remembered: lines of named speakers, or chats with an assistant."""
        return self.weights_of_lines if lines else self.weights_of_chats


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
