"""Clients rewrite what they send again: that is not shown again, nothing is stored twice, what is not sent is shown.

First one test for each kind of rewriting, then any of them at once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.history import Plan, place, plan, shortened, to_shorten
from recallr_litellm.core.messages import Message, MessageEntry, StoredMessage, ToolCall

CONTEXT = "### Context\nThe contract was signed in Zürich.\nSection 4 is about its end.\n\n"


@dataclass(frozen=True)
class Said:
    """A message of a conversation, by its name in the test, as it was first sent or answered."""

    name: str
    message: Message


@dataclass
class Session:
    """A session that is kept the way `memory.capture` keeps it; knows which stored message is which."""

    stored: list[StoredMessage] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    exchanges: int = 0

    @property
    def entries(self) -> list[MessageEntry]:
        return [stored.entry for stored in self.stored]

    @property
    def kept(self) -> list[str]:
        """Names of what is stored, in order."""
        return [self.names[stored.id] for stored in sorted(self.stored, key=lambda stored: stored.position)]

    def text(self, name: str) -> str:
        [text] = [stored.message.text for stored in self.stored if self.names[stored.id] == name]
        return text

    def send(self, incoming: Sequence[Said], reply: Said) -> list[str]:
        """Store a request and its answer. Returns the names of what the model is shown besides the request."""
        todo = plan(self.entries, [said.message for said in incoming])
        self._write(todo, incoming, reply)
        return [self.names[entry.id] for entry in todo.unseen]

    def _write(self, todo: Plan, incoming: Sequence[Said], reply: Said) -> None:
        self.exchanges += 1
        placed = place(
            todo,
            session_id="s",
            exchange=str(self.exchanges),
            first_position=max((stored.position for stored in self.stored), default=-1) + 1,
            replies=[reply.message],
            asked_at=1,
            answered_at=2,
            partial=False,
        )
        new = incoming[len(incoming) - len(todo.new) :]
        self.names |= {stored.id: said.name for stored, said in zip(placed, [*new, reply], strict=True)}
        sent = to_shorten(todo)
        kept = (stored for stored in self.stored if stored.id not in todo.replaced)
        alone = ((stored, shortened(stored, sent[stored.id]) if stored.id in sent else None) for stored in kept)
        self.stored = [short or stored for stored, short in alone] + list(placed)


def user(text: str, *attachments: str) -> Said:
    return Said(text, Message(role="user", text=text, attachments=attachments))


def wrapped(question: str) -> Said:
    return Said(question, Message(role="user", text=f"{CONTEXT}{question}"))


def assistant(text: str) -> Said:
    return Said(text, Message(role="assistant", text=text))


def call(id: str) -> Said:
    return Said(f"call {id}", Message(role="assistant", tool_calls=(ToolCall(id=id, name="read", arguments="{}"),)))


def result(id: str, text: str) -> Said:
    return Said(f"result {id}", Message(role="tool", text=text, tool_call_id=id))


def again(said: Said, **changes: object) -> Said:
    """What a client makes of a message that it sends again."""
    return replace(said, message=Message.model_validate({**said.message.model_dump(), **changes}))


def as_text(said: Said, text: str) -> Said:
    return again(said, text=text)


@pytest.mark.parametrize(
    "cut",
    [
        "I live in Rome",  # cut in the middle of a line
        "in Rome, near the river, with my two cats.",
        "I like my cat, and I live in Rome, near the river, with my two cats. And a dog.",
        "[10:41] I live in Rome, near the river, with my two cats.",
        "(a picture)",
        "",
    ],
)
def test_a_text_that_the_client_cuts_or_adds_to_stays_as_it_was_said(cut: str) -> None:
    session = Session()
    first = user("I live in Rome, near the river, with my two cats.")
    session.send([first], assistant("Nice."))
    shown = session.send([as_text(first, cut), assistant("Nice."), user("Where?")], assistant("Rome."))
    assert shown == []
    assert session.text(first.name) == first.message.text


def test_attachments_stay_with_a_message_whose_wrapper_goes() -> None:
    session = Session()
    question = Said("q", Message(role="user", text=f"{CONTEXT}What is this?", attachments=("image_url",)))
    session.send([question], assistant("A cat."))
    session.send([as_text(question, "What is this?"), assistant("A cat."), user("Sure?")], assistant("Yes."))
    assert session.stored[0].message.text == "What is this?"
    assert session.stored[0].message.attachments == ("image_url",)


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def test_composition_does_not_make_another_message_nor_does_typography_make_another_likeness() -> None:
    first, second = (Message(role="user", text=form("Zoë's office")) for form in (composed, decomposed))
    assert first.fingerprint == second.fingerprint
    typeset = Message(role="user", text="Zoë\u2019s o\ufb03ce")
    assert (typeset.fingerprint == first.fingerprint, typeset.likeness == first.likeness) == (False, True)


def test_a_picture_that_the_client_drops_is_known_by_its_words_or_by_the_answer_to_it() -> None:
    session = Session()
    words, picture = (
        user("What is on it?", "image_url"),
        Said("picture", Message(role="user", attachments=("image_url",))),
    )
    session.send([words], assistant("A cat."))
    without = again(words, attachments=())
    assert session.send([without, assistant("A cat."), picture], assistant("A dog.")) == []
    mark = as_text(user("picture"), "[image]")
    history = [without, assistant("A cat."), mark, assistant("A dog.")]
    assert session.send([*history, user("Which is older?")], assistant("The dog.")) == []
    history = [without, assistant("A cat."), assistant("A dog."), user("Which is older?"), assistant("The dog.")]
    assert session.send([*history, user("Sure?")], assistant("Yes.")) == [], "a message that is gone stood between two"
    assert session.kept == [
        *("What is on it?", "A cat.", "picture", "A dog.", "Which is older?", "The dog.", "Sure?", "Yes.")
    ]


def test_tool_results_are_known_by_their_calls_and_may_be_left_out() -> None:
    session = Session()
    question, calls = user("Why is the build red?"), [call("c1"), call("c2")]
    results = [result("c1", "log " * 900), result("c2", "ok")]
    session.send([question], calls[0])
    session.send([question, calls[0], results[0]], calls[1])
    cleared = as_text(results[0], "[Old tool result content cleared]")
    assert session.send([question, calls[0], cleared, calls[1], results[1]], assistant("A test fails.")) == []
    history = [question, assistant("A test fails.")]
    assert session.send([*history, user("Which?")], assistant("test_x")) == [], "the steps lie between the two"
    assert session.text("result c1") == results[0].message.text, "what the tool said is kept"
    assert session.kept == [
        *("Why is the build red?", "call c1", "result c1", "call c2", "result c2", "A test fails.", "Which?", "test_x")
    ]


def test_an_edit_never_lands_on_the_same_word_further_down() -> None:
    session = Session()
    session.send([user("Shall I?")], assistant("Do."))
    history = [user("Shall I?"), assistant("Do.")]
    session.send([*history, user("With salt?")], assistant("A little."))
    session.send([*history, user("With salt?"), assistant("A little."), user("yes")], assistant("Good."))
    assert session.send([*history, user("yes")], assistant("Fine.")) == []
    assert session.kept == ["Shall I?", "Do.", "yes", "Fine."], "the new branch takes the place of the old one"


def test_a_wrapped_question_asked_anew_replaces_its_first_answer() -> None:
    session = Session()
    first, second = wrapped("What is the notice period?"), wrapped("And for part-timers?")
    session.send([first], assistant("Three months."))
    history = [user(first.name), assistant("Three months.")]
    session.send([*history, second], assistant("Two."))
    other = as_text(second, f"### Context\nOther lines were found.\n\n{second.name}")
    assert session.send([*history, other], assistant("Three as well.")) == []
    assert session.kept == [first.name, "Three months.", second.name, "Three as well."]


def test_a_first_question_is_known_again_also_where_another_conversation_went_on_since() -> None:
    session = Session()
    session.send([wrapped("What is the notice period?")], assistant("Long."))
    session.send([user("Another window")], assistant("Hm."))
    history = [user("What is the notice period?"), assistant("Long.")]
    assert session.send([*history, user("How long?")], assistant("A year.")) == ["Another window", "Hm."]
    assert session.text("What is the notice period?") == "What is the notice period?"


def test_of_equal_answers_the_one_that_stands_in_the_same_place_is_meant() -> None:
    session, history = Session(), list[Said]()
    for number in range(3):
        question, answer = wrapped(f"question {number}"), replace(assistant("ok"), name=f"ok {number}")
        session.send([*history, question], answer)
        history += [question, answer]
    window = [as_text(said, f"[10:41] {said.name}") if said.message.role == "user" else said for said in history[2:]]
    shown = session.send([user("They count."), *window, user("question 3")], assistant("Three."))
    assert shown == ["question 0", "ok 0"], "the window ends where the session ends"
    session.send([*history[:2], user("another question")], assistant("Fine."))
    assert session.kept == ["question 0", "ok 0", "another question", "Fine."], "an edit: nothing was left out"


def test_common_answers_with_other_words_between_them_are_a_coincidence() -> None:
    session, history = Session(), list[Said]()
    for question, answer in [("I live in Rome", "Noted."), ("I have a cat", "Fine."), ("I ski", "Good.")]:
        session.send([*history, user(question)], assistant(answer))
        history += [user(question), assistant(answer)]
    examples = [
        user("The sky is blue"),
        assistant("Noted."),
        user("Is it?"),
        assistant("Yes."),
        user("Water is wet"),
        assistant("Fine."),
    ]
    session.send([*examples, user("I have a dog")], assistant("Hm."))
    assert session.kept == [*(said.name for said in history), "I have a dog", "Hm."]


def test_a_translated_exchange_in_front_of_a_known_one_counts_as_sent() -> None:
    session = Session()
    session.send([user("Wo wohnt sie?")], assistant("In Rom."))
    session.send([user("Wo wohnt sie?"), assistant("In Rom."), user("Why?")], assistant("Work."))
    history = [user("Where does she live?"), assistant("In Rome."), user("Why?"), assistant("Work.")]
    assert session.send([*history, user("Since when?")], assistant("2019.")) == []


def test_a_common_answer_amid_another_conversation_matches_nothing() -> None:
    session = Session()
    session.send([user("I live in Rome")], assistant("Noted."))
    session.send([user("I live in Rome"), assistant("Noted."), user("I have a cat")], assistant("Fine."))
    examples = [user("The sky is blue"), assistant("Noted."), user("Water is wet"), assistant("Good.")]
    shown = session.send([*examples, user("I have a dog")], assistant("Fine."))
    assert shown == ["I live in Rome", "I have a cat", "Fine."], "all but the word that the request holds"
    assert session.kept == ["I live in Rome", "Noted.", "I have a cat", "Fine.", "I have a dog", "Fine."]


def test_what_the_session_holds_in_another_thread_is_not_shown_again_either() -> None:
    session = Session()
    session.send([user("one")], assistant("1"))
    session.send([wrapped("two")], assistant("The second number of all of them is the two."))
    session.send([user("three")], assistant("3"))
    history = [user("one"), assistant("1"), user("two"), assistant("The second number of all of them is the two.")]
    assert session.send([*history, user("three"), assistant("3"), user("four")], assistant("4")) == []


ANSWERS = ("ok", "Yes.", "Done.")
TIMES = "[Mon 10:4{}] {}"


@st.composite
def conversations(draw: st.DrawFn) -> list[list[Said]]:
    """Turns: a user message, steps with tools, an answer. Questions differ, answers may not."""
    turns = []
    for number in range(draw(st.integers(2, 6))):
        text = f"Question {number}: what of the café, the naïve one\u2026?"
        framed = draw(st.sampled_from(["{}", CONTEXT + "{}", "{}\n\n" + CONTEXT, "Question: {}\nAnswer briefly."]))
        pictures = ("image_url",) * draw(st.integers(0, 1))
        turn = [Said(f"q{number}", Message(role="user", text=framed.format(text), attachments=pictures))]
        for step in range(draw(st.integers(0, 2))):
            id = f"{number}.{step}"
            turn += [call(id), result(id, f"output of {id}, line after line")]
        answer = draw(st.sampled_from(ANSWERS) | st.just(f"**Answer {number}**: it is all in section {number}\u2026"))
        turns.append([*turn, Said(f"a{number}", Message(role="assistant", text=answer))])
    return turns


@st.composite
def rewritings(draw: st.DrawFn) -> Callable[[Sequence[Said]], list[Said]]:
    """What one client does to all that it sends again."""
    plain = draw(st.booleans())
    dropped = draw(st.booleans())
    cleared = draw(st.booleans())
    no_steps = draw(st.booleans())
    normal = draw(st.sampled_from([str, composed, decomposed, lambda text: text.replace("**", "") + "\n"]))
    stamped = draw(st.booleans())

    def once_more(said: Said) -> Said:
        text = said.message.text
        if said.message.role == "tool":
            return as_text(said, "[Old tool result content cleared]") if cleared else said
        if said.message.role == "user":
            number = int(said.name[1:])
            if plain:
                text = f"Question {number}: what of the café, the naïve one\u2026?"
            if stamped:
                text = TIMES.format(number, text)
        return again(said, text=normal(text), attachments=() if dropped else said.message.attachments)

    def rewrite(history: Sequence[Said]) -> list[Said]:
        return [once_more(said) for said in history if said.name[0] in "qa" or not no_steps]

    return rewrite


@given(conversations(), st.data())
def test_any_rewriting_shows_nothing_again_and_stores_nothing_twice(
    turns: list[list[Said]], data: st.DataObject
) -> None:
    session, history = Session(), list[Said]()
    rewrite = data.draw(rewritings(), label="client")
    for number, turn in enumerate(turns):
        if data.draw(st.integers(0, 3), label="another client?") == 0:
            rewrite = data.draw(rewritings(), label="client")
        cut = data.draw(st.just(0) | st.integers(0, max(number - 1, 0)), label="turns left out at the beginning")
        left_out = [said.name for earlier in turns[:cut] for said in earlier]
        summary = [user("Summary: there were questions.")] * (cut and data.draw(st.integers(0, 1), label="summary?"))
        sent_before = [*summary, *rewrite([said for said in history if said.name not in left_out])]
        for step in range(1, len(turn), 2):
            shown = session.send([*sent_before, *turn[:step]], turn[step])
            assert not set(shown) - set(left_out), "something that the client sent is shown again"
            assert set(left_out) <= set(shown), "something that the client did not send is not shown"
        history += turn
        assert session.kept == [said.name for said in history], "each message is stored once, in order"
