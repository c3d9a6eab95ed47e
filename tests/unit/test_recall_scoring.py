"""How candidates are ranked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recallr_litellm.core.records import PassageHit, SummaryHit
from recallr_litellm.core.traits import traits_of
from recallr_litellm.recall.calibration import REFERENCE, REFERENCE_MODEL
from recallr_litellm.recall.question import Question
from recallr_litellm.recall.recipes import Weights
from recallr_litellm.recall.scoring import Asked, Signs, score_passages
from recallr_litellm.recall.search import rank_summaries, recalled, score_and_fold

NO_TERMS = np.zeros(0, np.uint32)


def hit(dense: float, bm25: float = 0.0, **more: Any) -> PassageHit:
    values: dict[str, Any] = {
        "session": "s1",
        "message": "m",
        "position": 100,
        "part": 0,
        "parts": 1,
        "role": "user",
        "at": 0,
        "text": "a text of a dozen words, so that none of them is too short",
    }
    values |= more
    traits = traits_of(values["text"], values["role"])
    nothing = traits.states_nothing and values["parts"] == 1
    return PassageHit(dense=dense, bm25=bm25, traits=traits, terms=NO_TERMS, states_nothing=nothing, **values)


def scores(*hits: PassageHit, scale: float = 1.0) -> list[float]:
    return score_passages(hits, [hit.dense for hit in hits], Weights(), Asked(scale=scale))


@pytest.mark.parametrize("steps", [-2, -1, 1, 2])
def test_messages_near_one_that_fits_are_raised(steps: int) -> None:
    asks = "Where did we want to meet on the day of the concert, and who had the tickets?"
    fits = hit(0.6, 12.0, position=50, text=asks)
    near, far = scores(hit(0.1, position=50 + steps), hit(0.1, position=70), fits)[:2]
    assert near > far, f"{steps} from the message that fits"


def test_messages_are_neighbours_only_within_a_session() -> None:
    other_position = hit(0.1, session="s2", position=80)
    other_session = hit(0.1, session="s2", position=51)
    fits = hit(0.6, 12.0, position=50, text="Where did we want to meet on the day of the concert?")
    one, other, _ = scores(other_position, other_session, fits)
    assert one == other


def signed(question: Question, *hits: PassageHit, speakers: frozenset[str] = frozenset()) -> list[float]:
    return score_passages(hits, [hit.dense for hit in hits], Weights(), Asked(question, speakers))


def test_a_question_for_a_time_prefers_passages_with_one() -> None:
    told = hit(0.3, position=5, text="We adopted the dog last month, from the shelter on the hill behind the town.")
    untold = hit(0.3, position=15, text="We adopted the dog together, from the shelter on the hill behind the town.")
    when = signed(Question("When?", asks_when=True), told, untold)
    assert when[0] > when[1]
    assert len(set(signed(Question("Where?"), told, untold))) == 1
    german = hit(0.3, position=5, text="Wir haben den Hund vorgestern geholt.")._replace(times=(1_700_000_000_000,))
    without = german._replace(position=15, times=())
    when = signed(Question("Wann?", asks_when=True), german, without)
    assert when[0] > when[1], "a time in any language, as it was written down"


def test_what_only_asks_or_hardly_says_anything_yields_to_what_tells() -> None:
    tells = hit(
        0.3, position=5, text="The dentist moved my appointment to the third of May. Can you remind me, please?"
    )
    asks = hit(0.3, position=15, text="And when, if I may ask you that so directly, will the dentist see you again?")
    brief = hit(0.3, position=25, text="The dentist, yes!")
    told, asked, said = scores(tells, asks, brief)
    assert told > asked
    assert told > said


def test_ranking_is_by_relevance_and_the_newer_of_equals_comes_first() -> None:
    texts = ("The pool opens at six.", "The pool is closed on Mondays.", "The pool has a sauna now.")
    hits = [
        hit(dense, message=text, position=position, at=at, text=text)
        for text, (dense, position, at) in zip(texts, ((0.2, 1, 0), (0.6, 5, 1), (0.6, 9, 2)), strict=True)
    ]
    scored = score_and_fold(hits, REFERENCE_MODEL, Weights(), Asked())
    ranked = recalled(scored, {}, REFERENCE.chats.passages, at_least=9, at_most=9, threshold=1.0)
    assert [(passage.position, passage.at) for passage in ranked] == [(9, 2), (5, 1), (1, 0)]
    assert ranked[0].relevance == ranked[1].relevance > ranked[2].relevance
    assert all(0 <= passage.relevance <= 1 for passage in ranked)

    found = [
        SummaryHit(f"s{n}", n, n, f"summary {n}", f"gist {n}", dense, 0.0) for n, dense in enumerate((0.1, 0.5, 0.5))
    ]
    assert [s.session for s in rank_summaries(found, REFERENCE_MODEL, Weights(), Asked())] == ["s2", "s1", "s0"]


def test_no_candidates_are_no_memories() -> None:
    assert score_and_fold([], REFERENCE_MODEL, Weights(), Asked()) == []
    assert score_and_fold([], "a model that nobody measured", Weights(), Asked()) == []


def test_who_is_named_is_heard_first_but_only_where_lines_have_speakers() -> None:
    line = "{}: I spent all of Sunday in the garden and planted two apple trees there."
    ada, bo = (hit(0.3, position=place, text=line.format(name)) for place, name in ((5, "Ada"), (15, "Bo")))
    named = signed(Question("What did Ada plant?"), ada, bo, speakers=frozenset({"Ada"}))
    assert named[0] > named[1]
    unnamed = signed(Question("What did I plant?"), ada, bo)
    assert unnamed[0] == unnamed[1]


def test_a_question_for_what_the_assistant_said_prefers_its_words() -> None:
    user, assistant = hit(0.3, position=5), hit(0.3, position=15, role="assistant")
    first, second = signed(Question("x", asks_what_assistant_said=True), user, assistant)
    assert second > first


def test_a_question_for_now_prefers_the_newest() -> None:
    old, new = hit(0.3, at=1, position=5), hit(0.3, at=9, position=15)
    assert signed(Question("x", asks_for_now=True), old, new)[1] > signed(Question("x"), old, new)[1]


def test_the_points_of_the_signs_add_up_to_the_score() -> None:
    hits = [
        hit(0.1 * n, float(n), position=place, at=n * 10**9, session=f"s{n % 2}", text=text)
        for n, (place, text) in enumerate(
            ((5, "Ada: When do we meet?"), (6, "At six on Friday, at the station."), (50, "Thanks!"), (51, "Ada: Yes."))
        )
    ]
    question = Question("When?", asks_when=True, asks_for_now=True, asks_what_assistant_said=True)
    noted: Signs = {}
    asked = Asked(question, frozenset({"Ada"}))
    scored = score_and_fold(hits, REFERENCE_MODEL, Weights(), asked, {"m": 0.5}, noted=noted)
    assert {"cosine", "bm25", "speaker", "tells_when", "recent", "neighbours", "session", "memories"} <= noted.keys()
    score_of = {id(one): score for score, one in scored}
    sums = np.sum(list(noted.values()), axis=0)
    assert [score_of[id(one)] for one in hits] == pytest.approx(sums.tolist())
    unnoted = score_and_fold(hits, REFERENCE_MODEL, Weights(), asked, {"m": 0.5})
    assert [score for score, _ in unnoted] == [score for score, _ in scored], "being explained changes a score"
