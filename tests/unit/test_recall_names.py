"""Names in a question, and what the user's own memory knows of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.traits import speaker
from recallr_litellm.recall.names import LOOKED_UP, Known, NameBook, candidates, known_as, without

OWNER = Owner("p", "mara")


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What did Caroline tell Melanie?", ("Caroline", "Melanie")),
        ("Zoë's dog, what is he called?", ("Zoë",)),
        ("what is my dog called", ()),
        ("Where did I park, and WHY?", ()),
        ("Что сказал Иван?", ("Что", "Иван")),
        ("", ()),
        ("🎉", ()),
    ],
)
def test_capitalised_words_may_be_names(question: str, names: tuple[str, ...]) -> None:
    assert candidates(question) == names


def test_a_speaker_is_who_begins_the_lines() -> None:
    assert known_as("Ada", ["Ada: hello", "Ada: I am here", "Bo: hi Ada"]) is Known.SPEAKER
    assert known_as("Ada", [*["Bo: hi Ada"] * 8, *["Ada: hello"] * 4]) is Known.SPEAKER, "who is spoken to as well"
    assert known_as("Ada", [*["I met Ada"] * 8, *["Ada: notes"] * 2]) is Known.NOT, "some notes are no chat export"
    assert known_as("Ada", ["I met Ada", "Ada came"]) is Known.NOT, "a name that is seldom spoken of tells much"
    assert known_as("Ada", ["Today Ada came along"] * LOOKED_UP) is Known.FREQUENT
    assert known_as("Will", ["You will see, I will"] * LOOKED_UP) is Known.NOT, "a word, there"
    assert known_as("Ada", []) is Known.NOT
    assert known_as("Ada", ["Ada: one note"]) is Known.NOT, "one line is no chat export"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ada: hello", "Ada"),
        ("Ada Lovelace: hello", "Ada"),
        ("I think: no", "I"),
        ("http://x", ""),
        ("12:30 is late", ""),
    ],
)
def test_the_speaker_of_a_line(text: str, name: str) -> None:
    assert speaker(text) == name


def test_known_names_are_left_out_of_what_is_embedded() -> None:
    assert without("What did Ada's sister tell Bo?", frozenset({"Ada"})) == "What did sister tell Bo?"
    assert without("Adam and Ada", frozenset({"Ada"})) == "Adam and"
    assert without("Ada?", frozenset({"Ada"})) == "Ada?", "not all of it"
    assert without("What?", frozenset()) == "What?"


async def test_names_are_looked_up_once_for_each_owner() -> None:
    asked: list[tuple[str, ...]] = []

    async def look(words: Sequence[str]) -> list[list[str]]:
        asked.append(tuple(words))
        return [["Ada: hello", "Ada: hi"] if word == "Ada" else [] for word in words]

    book = NameBook()
    first = await book.look_up(OWNER, ("Ada", "Bo"), look)
    assert first[Known.SPEAKER] == {"Ada"}
    assert first[Known.NOT] == {"Bo"}
    assert await book.look_up(OWNER, ("Ada",), look) == {
        Known.SPEAKER: frozenset({"Ada"}),
        Known.NOT: frozenset(),
        Known.FREQUENT: frozenset(),
    }
    await book.look_up(Owner("p", "otto"), ("Ada",), look)
    assert asked == [("Ada", "Bo"), ("Ada",)], "what one owner's memory knows is not said of another's"
