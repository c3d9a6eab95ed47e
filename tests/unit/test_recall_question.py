"""What of the user's message is searched for."""

from __future__ import annotations

from datetime import UTC, datetime

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


_WEDNESDAY = datetime(2025, 7, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "question",
    [
        "Where did I live before?",
        "Where did I use to work?",
        "Who was my previous dentist?",
        "Where did I live in 2019?",
        "Where did I work last year?",
        "What was my old address?",
        "Wo habe ich früher gewohnt?",
        "Wo wohnte ich damals?",
        "Wie hieß mein ehemaliger Chef?",
        "Meine alte Adresse?",
        "Was esse ich nicht mehr?",
        "Où est-ce que j'habitais avant ?",
        "Où habitais-je autrefois ?",
        "Mon ancienne adresse ?",
        "¿Dónde vivía antes?",
        "¿Cuál era mi antigua dirección?",
        "¿Dónde trabajaba en el pasado?",
        "Onde eu morava antigamente?",
        "Qual era o meu antigo emprego?",
        "Dove abitavo prima?",
        "Prima dove lavoravo?",
        "Il mio vecchio indirizzo?",
        "Waar woonde ik vroeger?",
        "Wat was mijn vorige baan?",
        "Mijn oude adres?",
        "Waar werkte ik destijds?",
        "Was habe ich letztes Jahr gegessen?",
        "Que faisais-je l'année dernière ?",
        "Bis wann lebte ich in Rom?",
        "What do I not eat any more?",
    ],
)
def test_a_question_asks_for_the_past(question: str) -> None:
    assert read(question, now=_WEDNESDAY).asks_for_the_past


@pytest.mark.parametrize(
    "question",
    [
        "Where do I live?",
        "How old is my dog?",
        "My son is 3 years old, what is his name?",
        "What is my older sister called?",
        "What do I have to do tomorrow?",
        "What is planned for next Friday?",
        "What do I do today?",
        "Wo wohne ich?",
        "Wie alt ist mein Hund?",
        "Was mache ich morgen?",
        "Prima, und wo wohne ich?",
        "Où est-ce que j'habite ?",
        "Que fais-je demain ?",
        "¿Dónde vivo?",
        "¿Qué hago mañana?",
        "Onde eu moro?",
        "O que faço amanhã?",
        "Dove abito?",
        "Che cosa faccio domani?",
        "Qual è la mia prima scelta?",
        "Waar woon ik?",
        "Hoe oud is mijn hond?",
        "Wat doe ik morgen?",
        "What is planned for next month?",
        "Was ist für nächste Woche geplant?",
    ],
)
def test_or_for_what_is_so_or_will_be(question: str) -> None:
    assert not read(question, now=_WEDNESDAY).asks_for_the_past
