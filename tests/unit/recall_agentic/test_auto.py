"""Which strategy `auto` chooses, pinned question by question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.options import Strategy
from recallr_litellm.recall.auto import choose

SIMPLE = [
    "What is my cat called?",
    "Any food allergies?",
    "What do I do for a living?",
    "I'm hungry, what's my favourite food?",
    "what is my favorite color",
    "Thanks!",
    "",
    "  \n ",
    "🎉🎉",
    "?!",
]
TIMES_NAMES_FOLLOW_UPS = [
    "When do I have to be at work?",
    "What did I do last summer?",
    "What is on for Monday?",
    "Did I say 10 or 12?",
    "What did Ines say?",
    "Where is the Mirador?",
    "And what about her sister?",
    "Is it vegan?",
    "Which one of them was cheaper?",
    "Wie heißt mein Hund?",
    "我的猫叫什么名字",
    "I would like a recipe for tonight that is quick, cheap and does not need an oven at all.",
]
BROAD = [
    "What do you know about me?",
    "What do you remember of my family?",
    "Tell me everything about my health.",
    "Compare my two jobs.",
    "How has my diet changed?",
    "List all my appointments.",
    "How often did I go running?",
    "Summarize what I planned.",
    "What have we discussed about the house?",
    "Where do I live and what do I do?",
    "What is my dog called? And my cat?",
]
NOT_OF_THE_USER = [
    "Compare Rust and Go.",
    "Summarize this text: the council met on the harbour.",
    "What is a monad, and why is it useful?",
    "List all prime numbers below 50.",
]


@pytest.mark.parametrize("question", SIMPLE)
def test_what_is_short_and_simple_is_answered_fast(question: str) -> None:
    assert choose(question, model=True) is Strategy.LOW_LATENCY


@pytest.mark.parametrize("question", TIMES_NAMES_FOLLOW_UPS)
def test_times_names_follow_ups_and_long_questions_are_balanced(question: str) -> None:
    assert choose(question, model=True) is Strategy.BALANCED


@pytest.mark.parametrize("question", BROAD)
def test_broad_questions_about_the_user_are_for_the_model_where_there_is_one(question: str) -> None:
    assert choose(question, model=True) is Strategy.AGENTIC
    assert choose(question, model=False) is Strategy.BALANCED


@pytest.mark.parametrize("question", NOT_OF_THE_USER)
def test_broad_questions_about_the_world_ask_no_model_for_memory(question: str) -> None:
    assert choose(question, model=True) in (Strategy.BALANCED, Strategy.LOW_LATENCY)


@given(st.text(max_size=3000), st.booleans())
def test_any_text_has_a_strategy_and_none_needs_a_model_that_is_not_there(question: str, model: bool) -> None:
    chosen = choose(question, model=model)
    assert chosen is not Strategy.AUTO
    assert model or chosen is not Strategy.AGENTIC


def test_a_pasted_book_is_settled_by_its_beginning_and_its_end() -> None:
    assert choose("lorem ipsum " * 20_000 + "\nWhat do you know about me?", model=True) is Strategy.AGENTIC
