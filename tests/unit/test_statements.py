"""What only asks, or only says that it does not know, is told from what states something."""

from __future__ import annotations

import pytest

from recallr_litellm.core.changes import tells_a_change
from recallr_litellm.core.statements import states_nothing
from recallr_litellm.recall.pleasantries import is_pleasantry, says_go_on

QUESTIONS = """
What is my dog called?
what is my dog called
Which colour is my car
remind me what colour my car has
Tell me my dog's name
I forgot what my dog is called.
I forgot the name of my dog
I keep forgetting the dog's name
I can never remember where we park
I need the cabin's wifi password again
Name of the dog, please
Do you remember anything about Heidi?
So, what's the colour of my car again?
I wonder which colour my car is.
Any idea what my dog is called
That's great! What did you do?
Thanks. And what is my cat called?
Need to know where the cabin's wifi password is.
Can't remember what my landlord is called
I was hoping you'd know when my lease ends
wie heißt mein Hund
Ich habe vergessen, wie mein Arzt heißt
Comment s'appelle mon chien
Ho dimenticato il nome del mio medico
Ik vraag me af waar mijn paspoort is
我的护照在哪里
¿Cómo se llama mi perro?
我的狗叫什么名字呢
"""
STATEMENTS = """
What a day, I got promoted
When I was young I lived in Oslo
Remind me to call mom
What I did was move to Oslo
I don't know what to do, I lost my job and the cat died
Max has a nut allergy. What can he eat?
I'm allergic to nuts, what can I cook?
My name is Ana. What is yours?
Which is why I moved to Lisbon.
My dog is Biscuit
I can't remember names well
I need my inhaler again
Call me Max please
No peanuts, please
I forgot the keys of the car in the tram, so I walked home
I forgot my keys at work on Monday.
I need to know where to park because my car is a big van.
Ich habe vergessen, Milch zu kaufen
"""
EMPTY_ANSWERS = """
I am not sure.
I do not know anything about Heidi.
I'm sorry, but I don't have any information about your dog's name. If you share it, I'd be happy to remember it!
You haven't told me your dog's name yet. What is it?
There is no record of that.
It doesn't look like you've mentioned that before.
Unfortunately, I'm unable to recall that detail.
Das weiß ich leider nicht.
Das hast du mir noch nicht gesagt.
抱歉，我不知道。
Je ne sais pas.
"""
ANSWERS = """
Your dog is called Biscuit.
I am not sure, but I think it is Biscuit.
You don't have any meetings tomorrow.
I don't have feelings, but here is a recipe: mix flour and water.
I do not recommend it. The tower is closed on Monday.
I can't access the file, the path should be /etc/hosts.
No lo sé con certeza, pero creo que es el 8 de noviembre.
"""
POLITE = """
hi
Thank you so much for your help!
OK 👍
danke
谢谢
How are you?
Hey there, how's it going?
uh okay
ok, have a nice day!
no worries, I see
Tschüss, bis morgen
¡Gracias, hasta luego!
わかりました
"""
NOT_POLITE = """
help
the day
Yes, in Lisbon
Good morning, what do I have today?
next
How are you and Rome getting on?
no problem with the flight?
see Ana tomorrow
have a nice dog
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("text", lines(QUESTIONS))
def test_what_only_asks_states_nothing(text: str) -> None:
    assert states_nothing(text, "user")


@pytest.mark.parametrize("text", lines(STATEMENTS))
def test_what_tells_something_beside_a_question_is_a_statement(text: str) -> None:
    assert not states_nothing(text, "user")


@pytest.mark.parametrize("text", lines(EMPTY_ANSWERS))
def test_an_answer_that_does_not_know_states_nothing(text: str) -> None:
    assert states_nothing(text, "assistant")


@pytest.mark.parametrize("text", lines(ANSWERS))
def test_an_answer_that_tells_something_is_a_statement(text: str) -> None:
    assert not states_nothing(text, "assistant")


def test_a_user_who_does_not_know_something_states_that() -> None:
    assert not states_nothing("I don't have a car.", "user")


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("I no longer eat fish.", True),
        ("After the audit I moved it over there to 49222.", True),
        ("I've gone vegan.", True),
        ("The trip fell through.", True),
        ("Ich esse keinen Fisch mehr.", True),
        ("Ik eet geen vlees meer.", True),
        ("Crete is off, Sam broke his leg.", True),
        ("Pip died last night.", True),
        ("I won't quit, no matter what.", False),
        ("I have gone through the list.", False),
        ("My dog is called Biscuit.", False),
    ],
)
def test_words_of_change(text: str, change: bool) -> None:
    assert tells_a_change(text) is change


@pytest.mark.parametrize("text", lines(POLITE))
def test_politeness_asks_for_no_memories(text: str) -> None:
    assert is_pleasantry(text)


@pytest.mark.parametrize("text", lines(NOT_POLITE))
def test_what_asks_for_something_is_no_politeness(text: str) -> None:
    assert not is_pleasantry(text)


@pytest.mark.parametrize(
    ("text", "goes_on"),
    [
        ("continue", True),
        ("Please go on.", True),
        ("let's continue", True),
        ("tell me more", True),
        ("weiter", True),
        ("继续", True),
        ("go on holiday", False),
        ("continue with the trip", False),
    ],
)
def test_a_message_that_only_says_go_on(text: str, goes_on: bool) -> None:
    assert says_go_on(text) is goes_on
