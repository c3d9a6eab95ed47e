"""Which chat a request shows to belong to, and which session holds a history."""

from __future__ import annotations

from typing import Any

import pytest

from recallr_litellm.core.chats import (
    Chat,
    Parting,
    chat_of,
    goes_on_otherwise,
    holds,
    in_doubt,
    parting,
    says_the_same,
)
from recallr_litellm.core.history import place, plan
from recallr_litellm.core.messages import Message, MessageEntry, Role, StoredMessage


def talk(*texts: str, first: Role = "user") -> tuple[Message, ...]:
    """Messages of the user and the assistant in turn."""
    roles: tuple[Role, Role] = ("user", "assistant") if first == "user" else ("assistant", "user")
    return tuple(Message(role=roles[index % 2], text=text) for index, text in enumerate(texts))


def shown(*texts: str, **changes: Any) -> Chat:
    messages = changes.pop("messages", talk(*texts))
    given: dict[str, Any] = {"header": None, "client_headers": {}, "body": {}, "litellm_session": None, **changes}
    return chat_of(messages, as_sent=messages, **given)


class Session:
    """A session that fills as requests come."""

    def __init__(self) -> None:
        self.stored: list[StoredMessage] = []

    @property
    def entries(self) -> list[MessageEntry]:
        return sorted((stored.entry for stored in self.stored), key=lambda entry: entry.position)

    def send(self, *texts: str, reply: str) -> None:
        todo = plan(self.entries, talk(*texts))
        self.stored += place(
            todo,
            session_id="s",
            exchange=str(len(self.stored)),
            first_position=len(self.stored),
            replies=[Message(role="assistant", text=reply)],
            asked_at=0,
            answered_at=1,
            partial=False,
        )

    def text(self, id: str | None) -> str:
        return next(stored.message.text for stored in self.stored if stored.id == id)

    def parting(self, *texts: str) -> tuple[set[str], bool] | None:
        """What leaves when a request comes."""
        todo = plan(self.entries, talk(*texts))
        found: Parting | None = parting(self.entries, parent=todo.parent, unseen=todo.unseen)
        return None if found is None else ({self.text(id) for id in found.leaving}, found.with_request)


def test_the_header_names_the_chat_before_the_client_does() -> None:
    named = shown("Hi", header="a", client_headers={"x-task-id": "b"})
    assert (named.named_by, named.part) == ("header", False)
    assert named.key == shown("Hello", client_headers={"x-task-id": "a"}).key, "the same name is the same chat"
    assert named.key != shown("Hi", body={"previous_response_id": "a"}).key
    assert shown("Hi", body={"conversation": "b"}).named_by == "client"
    assert shown("Hi") == Chat()


def test_what_becomes_of_a_request_whose_chat_is_not_known() -> None:
    assert shown("Hi").otherwise == "current"
    assert shown("Hi", "Hello", "Who?").otherwise == "opening"
    assert shown("The following is a summary of the conversation so far: …", "Fine.", "Who?").otherwise == "current"
    for summary in (
        "Here's a summary of our conversation so far: …",
        "## Summary of conversation\n…",
        "The conversation history before this point was compacted into the following summary:\n…",
        "Context from earlier conversation: …",
        "<summary>\n…\n</summary>",
    ):
        assert shown(summary, "Fine.", "Who?").otherwise == "current"
    assert shown("Summary of my holiday: …", "Fine.", "Who?").otherwise == "opening"
    assert shown("Hi", "{").otherwise == "current", "the beginning of an answer is no history"
    assert shown("Hi", client_headers={"x-interaction-id": "i"}).otherwise == "new"
    assert shown("Hi", "Hello", "Who?", client_headers={"x-interaction-id": "i"}).otherwise == "opening"
    steps = [*talk("Look it up", "I'll look."), Message(role="tool", text="found", tool_call_id="c")]
    assert shown(messages=steps).otherwise == "current", "the steps of the first turn are no history"


def test_the_first_messages_name_a_history_however_long_it_grows() -> None:
    examples = ("2 + 2", "4", "3 + 4", "7")
    first = shown(*examples, "5 + 6").opening
    assert first == shown(*examples, "7 + 8").opening
    assert first == shown(*examples, "5 + 6", "11", "and 7?").opening
    assert first != shown("2 + 2", "4", "3 + 5", "8", "5 + 6").opening


@pytest.mark.parametrize(
    ("texts", "held"),
    [
        (("My cat is Felix.", "Noted.", "He is grey."), True),
        (("My cat is Felix.", "Noted.", "He is grey.", "Fine.", "And old."), True),
        (("unknown", "Noted.", "He is grey.", "Fine.", "And old."), True),
        (("My cat is Felix.", "another answer", "He is grey."), True),
        (("My cat is Felix.", "edited", "He is grey.", "rewritten", "And old."), True),
        (("Hi!", "Noted.", "Give me a recipe."), False),
        (("yes", "ok", "What?", "That.", "Why?", "Because.", "And?", "Hm."), False),
        (("Hi!", "Hello!", "Give me a recipe."), False),
    ],
)
def test_a_session_holds_a_history_of_which_it_has_neighbours_or_the_users_words(
    texts: tuple[str, ...], held: bool
) -> None:
    session = Session()
    session.send("My cat is Felix.", reply="Noted.")
    session.send("My cat is Felix.", "Noted.", "He is grey.", reply="Fine.")
    session.send("yes", reply="ok")
    assert holds(shown(*texts).history, session.entries) is held


def test_an_app_that_begins_with_a_greeting_and_sends_what_was_heard_of_an_answer_stays_in_its_session() -> None:
    session = Session()
    session.send("i need to move my appointment", reply="Sure, which day suits you? We have Tuesday and Friday.")
    heard = talk(
        "Hi, this is the clinic.", "i need to move my appointment", "Sure, which day", "friday", first="assistant"
    )
    assert holds(shown(messages=heard).history, session.entries)
    other = talk("Hi, this is the clinic.", "i have a question", "Sure, which one", "friday", first="assistant")
    assert not holds(shown(messages=other).history, session.entries)


def test_two_chats_with_the_same_beginning_are_two() -> None:
    session = Session()
    session.send("Hi", reply="Hello!")
    assert not goes_on_otherwise(shown("Hi", "Hello!", "Bees?", "They buzz.", "And?").history, session.entries)
    session.send("Hi", "Hello!", "Ships?", reply="They sail.")
    assert goes_on_otherwise(shown("Hi", "Hello!", "Bees?", "They buzz.", "And?").history, session.entries)
    assert not goes_on_otherwise(shown("Hi", "Hello!", "Bees?").history, session.entries), "an edit"
    assert not goes_on_otherwise(shown("Hi", "Hello!", "rewritten", "They sail.", "And?").history, session.entries)


def test_of_an_equal_answer_what_the_user_said_before_it_tells() -> None:
    session = Session()
    session.send("Draft a resignation letter to my boss", reply="Done.")
    [(said, above)] = in_doubt(shown("Hi!", "Done.", "And now a recipe").history, session.entries)
    assert (said and said.text, session.text(above)) == ("Hi!", "Draft a resignation letter to my boss")
    [(said, _)] = in_doubt(shown(messages=talk("Done.", "Shorter!", first="assistant")).history, session.entries)
    assert said is None, "of a window nothing is there to compare"
    assert list(in_doubt(shown("Hi!", "Hello!", "Recipe?").history, session.entries)) == []


@pytest.mark.parametrize(
    ("sent", "stored", "same"),
    [
        ("What is the notice period?", "### Context\n4 weeks\n\nWhat is the  notice period?", True),
        ("<file>a</file> Why is the build red?", "Why is the build red?", True),
        ("Hi!", "Draft a resignation letter to my boss", False),
        ("cat", "My category is wrong", False),
        ("", "Look at this", False),
        ("", " ", True),
        ("我对花生过敏", "背景:\n我对花生过敏", True),
    ],
)
def test_a_message_is_the_same_whatever_a_client_puts_around_it(sent: str, stored: str, same: bool) -> None:
    assert says_the_same(sent, stored) is same


def test_chats_part_when_a_history_shows_that_they_are_two() -> None:
    session = Session()
    session.send("letter", reply="Dear boss")
    session.send("pancakes", reply="Flour")
    assert session.parting("letter", "Dear boss", "shorter") == ({"pancakes", "Flour"}, False)
    assert session.parting("pancakes", "Flour", "thinner") == ({"pancakes", "Flour"}, True), "the first chat stays"


def test_what_shows_no_second_chat_parts_nothing() -> None:
    session = Session()
    session.send("one", reply="1")
    session.send("one", "1", "two", reply="2")
    assert session.parting("one", "1", "two", "2", "three") is None
    assert session.parting("2", "three") is None
    session.send("lone", reply="answer")
    assert session.parting("two", "2", "three") is None, "a window says nothing of what stood before it"
    assert session.parting("another") is None
