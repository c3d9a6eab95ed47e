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
    return RecalledPassage("s", f"m{number}", number, 0, "user", at, text, relevance, traits_of(text).gist)


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


def test_the_same_words_are_recalled_once_as_said_last_and_do_not_use_up_the_top_k() -> None:
    ranked = [
        memory(1, 0.9, "Good morning!", at=1),
        memory(2, 0.8, "good  MORNING!", at=5),
        memory(3, 0.7, "Good morning!", at=3),
        memory(4, 0.6, "I live in Oslo."),
        memory(5, 0.5, "I work in Bergen."),
    ]
    shown = top_memories(ranked, RecallOptions(min_top_k=3, max_top_k=3))
    assert [(passage.message, passage.relevance) for passage in shown] == [("m2", 0.9), ("m4", 0.6), ("m5", 0.5)]


def test_the_same_words_of_another_speaker_are_another_memory() -> None:
    ranked = [
        memory(1, 0.9, "Done."),
        RecalledPassage("s", "m2", 2, 0, "assistant", 0, "Done.", 0.8, traits_of("Done.").gist),
    ]
    assert len(top_memories(ranked, RecallOptions())) == 2
