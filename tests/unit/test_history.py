"""Which messages of a request are new: one test for each rule of DESIGN.md section 4, then properties."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.history import Plan, place, plan
from recallr_litellm.core.messages import Message, MessageEntry, StoredMessage, ToolCall


def user(text: str) -> Message:
    return Message(role="user", text=text)


def assistant(text: str) -> Message:
    return Message(role="assistant", text=text)


class Store:
    """A session, kept the way `memory.capture` keeps it."""

    def __init__(self) -> None:
        self.messages: list[StoredMessage] = []

    def send(
        self,
        incoming: Sequence[Message],
        *replies: str | Message,
        retry: bool = False,
        partial: bool = False,
        seen: Sequence[StoredMessage] | None = None,
    ) -> Plan:
        todo = plan(
            self.entries,
            incoming,
            retry=retry,
            replaceable=None if seen is None else {message.id for message in seen},
        )
        placed = place(
            todo,
            session_id="s",
            exchange=secrets.token_hex(4),
            first_position=max((m.position for m in self.messages), default=-1) + 1,
            replies=[assistant(reply) if isinstance(reply, str) else reply for reply in replies],
            asked_at=1,
            answered_at=2,
            partial=partial,
        )
        self.messages = [m for m in self.messages if m.id not in todo.replaced] + list(placed)
        return todo

    @property
    def entries(self) -> list[MessageEntry]:
        return [message.entry for message in self.messages]

    def text_of(self, entries: Sequence[MessageEntry]) -> list[str]:
        by_id = {message.id: message.message.text for message in self.messages}
        return [by_id[entry.id] for entry in entries]

    @property
    def texts(self) -> list[str]:
        return [m.message.text for m in sorted(self.messages, key=lambda m: m.position)]


def said(*texts: str) -> list[Message]:
    """A conversation: user and assistant in turns. A text that begins with `a:` or `u:` says who said it."""
    who = {"u": user, "a": assistant}
    return [
        who[text[0]](text[2:]) if text[1:2] == ":" else (assistant if number % 2 else user)(text)
        for number, text in enumerate(texts)
    ]


CALL = Message(role="assistant", tool_calls=(ToolCall(id="c1", name="weather", arguments="{}"),))
RESULT = Message(role="tool", text="sunny", tool_call_id="c1")


@pytest.mark.parametrize(
    ("sends", "kept"),
    [
        # whole histories
        ([said("hi"), ["hello"], said("hi", "hello", "how?"), ["fine"]], "hi hello how? fine"),
        (
            [said("yes"), ["ok"], said("yes", "ok", "yes"), ["ok"], said(*["yes", "ok"] * 2, "yes"), ["ok"]],
            "yes ok " * 3,
        ),
        ([said("one"), ["a\n\n  list "], said("one", "a list", "two"), ["2"]], "one a\n\n  list  two 2"),
        # windows of it
        ([said("one"), ["1"], said("one", "1", "two"), ["2"], said("two", "2", "three"), ["3"]], "one 1 two 2 three 3"),
        ([said("one"), ["1"], said("a:1", "u:two"), ["2"]], "one 1 two 2"),
        ([said("yes"), ["ok"], said("yes"), ["really?"]], "yes ok yes really?"),
        (
            [said("cat"), ["Nice."], said("a:Nice.", "u:Yes."), ["Nice."], said("a:Nice.", "u:dog"), ["Noted."]],
            "cat Nice. Yes. Nice. dog Noted.",
        ),
        ([said("weather?"), [CALL], [CALL, RESULT], ["It is."]], "weather?  sunny It is."),
        # answers that take the place of others
        (
            [said("one"), ["1"], said("one", "1", "two"), ["2"], said("one", "1", "two"), ["zwei"]],
            "one 1 two zwei",
        ),
        (
            [
                said("one"),
                ["1"],
                said("one", "1", "two"),
                ["2"],
                said("one", "1", "two", "2", "three"),
                ["3"],
                said("one", "1", "two"),
                ["zwei"],
            ],
            "one 1 two zwei",
        ),
        ([said("name?"), ["Anna", "Berta"], said("name?", "Berta", "good"), ["fine"]], "name? Berta good fine"),
        # several messages in a turn
        ([said("u:first", "u:second"), ["ok"]], "first second ok"),
        ([said("one", "The answer is"), [" 1"]], "one The answer is  1"),
        # a session that begins, or whose first exchange is stored, late
        (
            [said("one", "1", "two", "2", "three"), ["3"], said("one", "1", "two", "2", "three", "3", "four"), ["4"]],
            "three 3 four 4",
        ),
        (
            [said("two"), ["2"], said("one"), ["1"], said("one", "1", "two", "2", "three"), ["3"]],
            "two 2 one 1 three 3",
        ),
    ],
)
def test_each_message_is_kept_once(sends: list[list[Any]], kept: str) -> None:
    store = Store()
    for incoming, replies in zip(sends[::2], sends[1::2], strict=True):
        store.send(incoming, *replies)
    assert " ".join(store.texts) == kept.removesuffix(" ")


@pytest.mark.parametrize("broken", [False, True], ids=["marked by the client", "the answer broke off"])
def test_a_repeated_request_replaces_the_answer_that_the_client_did_not_see(broken: bool) -> None:
    store = Store()
    store.send([user("one")], "lost on the way", partial=broken)
    store.send([user("one")], "1", retry=not broken)
    assert store.texts == ["one", "1"]


def test_only_the_last_message_sent_is_new_and_the_rest_is_unseen():
    store = Store()
    store.send([user("I live in Rome")], "nice")
    todo = store.send([user("what is the weather?")], "sunny")
    assert [m.text for m in todo.new] == ["what is the weather?"]
    assert store.text_of(todo.unseen) == ["I live in Rome", "nice"]
    assert store.texts == ["I live in Rome", "nice", "what is the weather?", "sunny"]


def test_a_window_under_a_summary_written_by_the_client_is_not_new():
    store = Store()
    store.send([user("one")], "1")
    store.send([user("one"), assistant("1"), user("two")], "2")
    todo = store.send([user("Summary: they counted"), user("two"), assistant("2"), user("three")], "3")
    assert [m.text for m in todo.new] == ["three"]
    assert todo.replaced == frozenset(), "a match amid both histories replaces nothing"


def test_an_edited_history_stores_only_its_new_branch():
    store = Store()
    store.send([user("one")], "1")
    store.send([user("one"), assistant("1"), user("I live in Rome")], "nice")
    todo = store.send([user("one"), assistant("1"), user("I live in Paris")], "oh")
    assert [m.text for m in todo.new] == ["I live in Paris"]
    assert todo.unseen == (), "the branch that the client gave up is not shown to the model"
    assert store.texts == ["one", "1", "I live in Paris", "oh"]


def test_a_client_that_leaves_answers_out_of_its_history_is_understood():
    store = Store()
    store.send([user("one")], "1")
    store.send([user("one"), user("two")], "2")
    todo = store.send([user("one"), user("two"), user("three")], "3")
    assert store.texts == ["one", "1", "two", "2", "three", "3"]
    assert store.text_of(todo.unseen) == ["1", "2"], "the answers it left out are shown to the model"


def test_two_conversations_side_by_side_do_not_replace_each_other():
    store = Store()
    store.send([user("tab one")], "1")
    store.send([user("tab two")], "2")
    store.send([user("tab one"), assistant("1"), user("more of one")], "1b")
    todo = store.send([user("tab two"), assistant("2"), user("more of two")], "2b")
    assert sorted(store.texts) == sorted(["tab one", "1", "tab two", "2", "more of one", "1b", "more of two", "2b"])
    assert store.text_of(todo.unseen) == ["tab one", "1", "more of one", "1b"]


def test_requests_running_beside_each_other_do_not_replace_each_other():
    store = Store()
    store.send([user("one")], "1")
    history = [user("one"), assistant("1")]
    seen = list(store.messages)
    store.send([*history, user("branch a")], "a", seen=seen)
    store.send([*history, user("branch b")], "b", seen=seen)
    assert store.texts == ["one", "1", "branch a", "a", "branch b", "b"]


def test_ids_do_not_depend_on_how_often_an_exchange_is_placed():
    todo = plan([], [user("one")])
    arguments = {"session_id": "s", "exchange": "x", "first_position": 0, "asked_at": 1, "answered_at": 2}
    begun = place(todo, replies=[assistant("par")], partial=True, **arguments)
    whole = place(todo, replies=[assistant("partial no more")], partial=False, **arguments)
    assert [m.id for m in begun] == [m.id for m in whole]
    assert (begun[0].partial, begun[1].partial, whole[1].partial) == (False, True, False)


words = st.sampled_from(["yes", "no", "ok", "why?", "tell me", "Rome"])


@given(st.lists(st.tuples(words, words), min_size=1, max_size=8), st.data())
def test_any_mix_of_whole_histories_and_windows_stores_each_message_once(turns, data):
    """A conversation of any texts, sent as whole history or as a window of at least one exchange."""
    store = Store()
    said: list[Message] = []
    for number, (question, answer) in enumerate(turns):
        width = data.draw(st.integers(min_value=1, max_value=max(1, number)), label="window, in exchanges")
        # A window must be unambiguous to be recognised: repeated texts make a narrow one look like another place.
        window = said if data.draw(st.booleans(), label="whole") or _ambiguous(said, width) else said[-2 * width :]
        store.send([*window, user(question)], answer)
        said += [user(question), assistant(answer)]
    assert store.texts == [message.text for message in said]


def _ambiguous(said: list[Message], width: int) -> bool:
    window = [m.fingerprint for m in said[-2 * width :]]
    prints = [m.fingerprint for m in said]
    places = [i for i in range(len(prints) - len(window) + 1) if prints[i : i + len(window)] == window]
    return len(places) != 1


@given(st.lists(st.sampled_from([user("a"), user("b"), assistant("a"), assistant("b")]), max_size=12), st.booleans())
def test_any_request_is_planned_without_fault_and_nothing_is_both_replaced_and_unseen(incoming, retry):
    store = Store()
    store.send([user("a")], "a")
    store.send([user("a"), assistant("a"), user("b")], "b")
    todo = plan(store.entries, incoming, retry=retry)
    assert not {m.id for m in todo.unseen} & todo.replaced
    assert todo.new == tuple(incoming[len(incoming) - len(todo.new) :]), "what is new is an end of the request"


def test_thousands_of_equal_messages_are_matched_without_holding_anybody_up():
    """The work is bounded: in the cubic search that this replaced, this test would not end within the hour."""
    store = Store()
    said = [user("ok"), assistant("ok")] * 2000
    store.send(said[:-1], "ok")
    whole, window = (plan(store.entries, [*sent, user("and now?")]) for sent in (said, said[2:]))
    assert [m.text for m in whole.new] == [m.text for m in window.new] == ["and now?"]
    assert (whole.parent, whole.unseen) == (store.messages[-1].id, ()), "all of it is where it was"
