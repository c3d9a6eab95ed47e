"""A short answer is shown with the question that it replies to, a question with its answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recallr_litellm.core.recalled import RecalledPassage
from recallr_litellm.core.records import PassageHit
from recallr_litellm.core.traits import traits_of
from recallr_litellm.recall.neighbours import FEW_WORDS, recalled_passage, with_neighbours


def hit(position: int, text: str, **more: Any) -> PassageHit:
    values: dict[str, Any] = {"session": "s1", "part": 0, "parts": 1, "role": "user", "at": 0} | more
    traits = traits_of(text, values["role"])
    return PassageHit(
        message=f"{values['session']}:{position}",
        position=position,
        text=text,
        traits=traits,
        terms=np.zeros(0, np.uint32),
        dense=0.1,
        bm25=0.0,
        states_nothing=traits.states_nothing and values["parts"] == 1,
        **values,
    )


QUESTION = hit(4, "When does the pool open?")
ANSWER = hit(5, "At six.", role="assistant")


def asked_of(*shown: PassageHit, candidates: list[PassageHit]) -> list[str | None]:
    passages = [recalled_passage(hit, 0.9) for hit in shown]
    completed = with_neighbours(passages, candidates)
    assert [passage._replace(beside=None) for passage in completed] == passages, "nothing else changes"
    return [passage.beside and passage.beside.message for passage in completed]


def test_a_short_answer_comes_with_its_question_which_was_not_recalled_itself() -> None:
    [answer] = with_neighbours([recalled_passage(ANSWER, 0.9)], [ANSWER, QUESTION])
    assert answer == recalled_passage(ANSWER, 0.9)._replace(beside=recalled_passage(QUESTION))
    assert isinstance(answer.beside, RecalledPassage)
    assert answer.beside.relevance == 0


def test_a_question_that_is_shown_anyway_is_not_shown_twice() -> None:
    assert asked_of(ANSWER, QUESTION, candidates=[ANSWER, QUESTION]) == [None, None]


@pytest.mark.parametrize(("words", "completed"), [(FEW_WORDS, True), (FEW_WORDS + 1, False)])
def test_an_answer_of_many_words_stands_for_itself(words: int, completed: bool) -> None:
    answer = hit(5, " ".join(["six"] * words))
    assert asked_of(answer, candidates=[QUESTION]) == ["s1:4" if completed else None]


@pytest.mark.parametrize(
    "before",
    [
        hit(4, "The pool opens early."),
        hit(3, "When does the pool open?"),
        hit(6, "When does the pool open?"),
        hit(4, "When does the pool open?", session="s2"),
        hit(4, "When does the pool open?", part=0, parts=2),
    ],
    ids=["it states", "farther off", "after it", "in another session", "within a long message"],
)
def test_only_what_ends_in_a_question_right_before_it(before: PassageHit) -> None:
    assert asked_of(ANSWER, candidates=[ANSWER, before]) == [None]


def test_a_question_comes_with_its_answer_unless_that_states_nothing() -> None:
    unanswered = hit(5, "I am not sure.", role="assistant")
    assert asked_of(QUESTION, candidates=[ANSWER, QUESTION]) == ["s1:5"]
    assert asked_of(QUESTION, candidates=[unanswered, QUESTION]) == [None]


def test_the_last_passage_of_a_long_message_may_ask() -> None:
    long = hit(4, "And when does the pool open?", part=2, parts=3)
    assert asked_of(ANSWER, candidates=[ANSWER, long]) == ["s1:4"]


def test_one_passage_of_a_long_answer_stands_for_itself() -> None:
    assert asked_of(hit(5, "At six.", part=1, parts=2), candidates=[QUESTION]) == [None]
