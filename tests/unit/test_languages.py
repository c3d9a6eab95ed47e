"""A sentence in another language than the text it is made from is told, where both are clear; never otherwise."""

from __future__ import annotations

import pytest

from recallr_litellm.core.languages import in_another_language

GERMAN = "Ich wohne seit Juni in Berlin und arbeite bei Siemens."
FRENCH = "J'habite à Lyon depuis deux ans et je travaille chez Renault."
SPANISH = "Me gusta mucho el fútbol pero no lo juego nunca."
PORTUGUESE = "Eu não gosto de café, prefiro chá."
ITALIAN = "Il mio gatto si chiama Micio, ha due anni."
DUTCH = "Ik woon in Utrecht en werk bij de gemeente."
ENGLISH = "I have lived in Berlin since June and I love it there."


@pytest.mark.parametrize(
    ("said", "fact"),
    [
        (GERMAN, "User has lived in Berlin since June 2025."),
        (GERMAN, "User lives in Berlin and works at Siemens."),
        ("Mein Hund heißt Rex und ist drei Jahre alt.", "User has a dog named Rex."),
        (FRENCH, "User works at Renault and lives in Lyon."),
        (SPANISH, "User likes football but never plays it."),
        (PORTUGUESE, "User does not like coffee and prefers tea."),
        (ITALIAN, "User has a cat named Micio who is two years old."),
        (DUTCH, "User lives in Utrecht and works for the city."),
        (ENGLISH, "User wohnt seit Juni in Berlin und liebt es."),
        (GERMAN, "User habite à Berlin depuis juin et travaille chez Siemens."),
    ],
)
def test_another_language(said: str, fact: str) -> None:
    assert in_another_language(fact, said)


@pytest.mark.parametrize(
    ("said", "fact"),
    [
        # of the same language
        (GERMAN, "User wohnt seit Juni 2025 in Berlin."),
        (FRENCH, "User habite à Lyon depuis 2023."),
        (SPANISH, "A User le gusta el fútbol."),
        (PORTUGUESE, "User prefere chá a café."),
        (ITALIAN, "User ha un gatto di nome Micio."),
        (DUTCH, "User werkt bij de gemeente Utrecht."),
        (ENGLISH, "User has lived in Berlin since June."),
        # with names and quotes of another
        ("Wir hören zu Hause immer The Who and the Animals.", "User hört The Who and the Animals."),
        ("Mein Lieblingsfilm ist The Lord of the Rings.", "User liebt The Lord of the Rings."),
        (
            "Ich bin Product Owner und mache das Sprint Planning.",
            "User ist Product Owner und macht das Sprint Planning.",
        ),
        ("I moved to Los Angeles, near La Jolla and San Diego de la Vega.", "User moved to Los Angeles."),
        ("I work for Der Spiegel and Die Zeit in Berlin.", "User works for Der Spiegel and Die Zeit."),
        # too short to tell, or of two languages
        ("Porto!", "User lives in Porto with her sister."),
        ("Je suis végane.", "User is vegan."),
        ("My wife is German, wir sprechen zu Hause Deutsch.", "User speaks German at home with his wife."),
        (GERMAN, "User: Siemens, Berlin."),
    ],
)
def test_the_same_language_or_none_that_is_clear(said: str, fact: str) -> None:
    assert not in_another_language(fact, said)
