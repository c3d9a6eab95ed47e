"""What of the user's message is searched for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.recall.question import MAX_CHARACTERS, elliptic, read, searchable


@pytest.mark.parametrize("question", ["", "  \n", "🎉🎉 👍🏽", "?!…", "—", "\x00\u202e"])
def test_without_a_letter_or_digit_there_is_nothing_to_search_for(question: str) -> None:
    assert searchable(question) == ""


@pytest.mark.parametrize("question", ["Where?", "我住在哪里", "أين", "42", "🎉 party?"])
def test_words_of_any_script_and_numbers_are_searched_for_as_they_are(question: str) -> None:
    assert searchable(question) == question


@given(st.text(max_size=3 * MAX_CHARACTERS))
def test_it_is_bounded_and_on_one_line(question: str) -> None:
    text = searchable(question)
    assert len(text) <= MAX_CHARACTERS + 1
    assert text.split() == text.split(" ") or text == ""


@pytest.mark.parametrize("question", ["And when?", "What about her sister?", "Why?", "how much is it", "And the dog?"])
def test_a_question_may_lean_on_what_was_said_before(question: str) -> None:
    assert elliptic(question)
    assert read(question, previous="I met Ada in Rome.").text == f"I met Ada in Rome. {question}"
    assert read(question).text == question


@pytest.mark.parametrize("question", ["What is my dog called?", "Which paint goes well with oak furniture?", "Oslo"])
def test_or_stand_by_itself(question: str) -> None:
    assert read(question, previous="I met Ada in Rome.").text == question


def test_what_a_question_asks_for_is_read_from_its_words() -> None:
    assert read("When did I move?").asks_when
    assert read("Wann bin ich umgezogen?").asks_when
    assert read("En quelle année ai-je déménagé ?").asks_when
    assert read("Where do I live now?").asks_for_now
    assert read("Which hotel did you recommend?").asks_what_assistant_said
    plain = read("Which bicycle suits tall people?")
    assert not any((plain.asks_when, plain.asks_for_now, plain.asks_what_assistant_said, plain.periods))


def test_bytes_in_a_question_are_not_searched_with() -> None:
    picture = f"data:image/png;base64,{'iVBORw0KGgoAAAA' * 5_000}"
    short = f"data:image/png;base64,{'iVBORw0KGgoAAAA' * 500}"
    assert read(f"{short} When is our wedding day?").text == "[image/png, 6 kB] When is our wedding day?"
    cut = read(f"When is it? {picture} Our wedding day, I mean.").text
    assert "iVBORw" not in cut
    assert cut.startswith("When is it?")
    assert cut.endswith("Our wedding day, I mean.")
