"""How candidates are ranked."""

from __future__ import annotations

from typing import Any

from recallr_litellm.core.records import PassageHit, SummaryHit
from recallr_litellm.recall.calibration import REFERENCE_MODEL
from recallr_litellm.recall.recipes import Recipe, Weights
from recallr_litellm.recall.scoring import bm25_scale, score_passages
from recallr_litellm.recall.search import rank_passages, rank_summaries


def hit(dense: float, bm25: float = 0.0, **more: Any) -> PassageHit:
    values: dict[str, Any] = {
        "session": "s1",
        "message": "m",
        "position": 100,
        "part": 0,
        "parts": 1,
        "role": "user",
        "at": 0,
        "text": "text",
    }
    return PassageHit(dense=dense, bm25=bm25, **(values | more))


def scores(*hits: PassageHit, scale: float = 1.0) -> list[float]:
    return score_passages(hits, [hit.dense for hit in hits], Weights(), scale=scale)


def test_words_in_common_count_next_to_likeness() -> None:
    alike, with_words, neither = scores(hit(0.4, position=1), hit(0.3, 10.0, position=5), hit(0.3, position=9))
    assert with_words > alike > neither


def test_a_short_answer_is_found_by_the_words_of_what_it_replies_to() -> None:
    asked = hit(0.5, 12.0, position=4, text="When does your yoga class start?")
    answer = hit(0.1, position=5, role="assistant", text="At six.")
    elsewhere = hit(0.1, position=5, session="s2", text="At six.")
    far = hit(0.1, position=7, text="At six.")
    _, near, other, apart = scores(asked, answer, elsewhere, far)
    assert near > other, "the message before it asks for it with the words of the question"
    assert other == apart, "only the message just before it, in the same session"
    stated = hit(0.5, 12.0, position=4, text="My yoga class moved.")
    assert near > scores(stated, answer)[1], "a question before it counts more than a statement"
    within = hit(0.5, 12.0, position=4, part=0, parts=2, text="When does your yoga class start?")
    assert scores(within, answer)[1] == scores(stated, answer)[1], "a question within a message is not how it ends"


def test_the_message_after_counts_too_but_less() -> None:
    match = hit(0.5, 12.0, position=4)
    before, _, after = scores(hit(0.1, position=3), match, hit(0.1, position=5))
    assert after > before > 0.1


def test_each_passage_of_a_long_answer_stands_for_itself() -> None:
    asked = hit(0.5, 12.0, position=4, text="What can I cook with lentils?")
    short = hit(0.1, position=5, text="Dal.")
    long = hit(0.1, position=5, part=3, parts=8, text="Then stir.")
    assert scores(asked, short)[1] - 0.1 > 4 * (scores(asked, long)[1] - 0.1) > 0


def test_a_pasted_page_is_not_matched_by_words_alone() -> None:
    assert bm25_scale(0, Weights()) == bm25_scale(10, Weights()) == 1.0
    of_a_page = bm25_scale(160, Weights())
    assert of_a_page == 0.1
    by_words, by_meaning = scores(hit(0.1, 60.0, position=1), hit(0.6, 20.0, position=9), scale=of_a_page)
    assert by_meaning > by_words


def test_ranking_is_by_relevance_and_the_newer_of_equals_comes_first() -> None:
    hits = [hit(0.2, position=1), hit(0.6, position=5, at=1), hit(0.6, position=9, at=2)]
    ranked = rank_passages(hits, REFERENCE_MODEL, Recipe(), scale=1.0)
    assert [(passage.position, passage.at) for passage in ranked] == [(9, 2), (5, 1), (1, 0)]
    assert ranked[0].relevance == ranked[1].relevance > ranked[2].relevance
    assert all(0 <= passage.relevance <= 1 for passage in ranked)

    found = [SummaryHit(f"s{n}", n, n, "summary", dense, 0.0) for n, dense in enumerate((0.1, 0.5, 0.5))]
    assert [s.session for s in rank_summaries(found, REFERENCE_MODEL, Recipe(), scale=1.0)] == ["s2", "s1", "s0"]


def test_no_candidates_are_no_memories() -> None:
    assert rank_passages([], REFERENCE_MODEL, Recipe(), scale=1.0) == []
    assert rank_passages([], "a model that nobody measured", Recipe(), scale=1.0) == []
