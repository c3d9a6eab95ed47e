"""How many memories and summaries are shown: the rule of the top-k and threshold headers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import RecalledPassage, RecalledSummary
from recallr_litellm.core.traits import traits_of
from recallr_litellm.recall.selection import top_memories, top_summaries

relevances = st.lists(st.floats(0, 1), max_size=250).map(lambda values: sorted(values, reverse=True))


def memory(number: int, relevance: float, text: str | None = None, at: int = 0) -> RecalledPassage:
    text = f"memory {number}" if text is None else text
    return RecalledPassage("s", f"m{number}", number, 0, "user", at, text, relevance, traits_of(text, "user").gist)


@st.composite
def options(draw: st.DrawFn) -> RecallOptions:
    low, high = sorted((draw(st.integers(0, 200)), draw(st.integers(0, 200))))
    threshold = draw(st.floats(0, 1))
    return RecallOptions(
        min_top_k=low, max_top_k=high, memories_threshold=threshold, summaries_threshold=draw(st.floats(0, 1))
    )


@given(relevances, options(), st.integers(0, 10))
def test_summaries_are_only_those_that_reach_the_threshold(
    values: list[float], chosen: RecallOptions, at_most: int
) -> None:
    ranked = [RecalledSummary(f"s{number}", 0, 0, "summary", value) for number, value in enumerate(values)]
    shown = top_summaries(ranked, chosen, at_most=at_most)
    reaching = [summary for summary in ranked if summary.relevance >= chosen.summaries_threshold]
    assert list(shown) == reaching[:at_most]


def asking(number: int, relevance: float) -> RecalledPassage:
    return memory(number, relevance, f"What is number {number}?")._replace(states_nothing=True)


@given(relevances, relevances, options())
def test_questions_take_only_places_that_statements_leave_and_at_most_a_third(
    statements: list[float], questions: list[float], chosen: RecallOptions
) -> None:
    telling = [memory(number, value) for number, value in enumerate(statements)]
    others = [asking(1000 + number, value) for number, value in enumerate(questions)]
    ranked = sorted([*telling, *others], key=lambda passage: -passage.relevance)
    shown = top_memories(ranked, chosen)
    assert [one for one in shown if one in telling] == list(top_memories(telling, chosen))
    assert len(shown) <= chosen.max_top_k
    assert len([one for one in shown if one in others]) <= chosen.max_top_k // 3
