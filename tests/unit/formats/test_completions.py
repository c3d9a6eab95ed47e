"""The legacy completions format: one prompt is one message, and what is no conversation is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recallr_litellm.core.messages import Message
from recallr_litellm.formats.answers import StreamedAnswer
from recallr_litellm.formats.base import Reply
from recallr_litellm.formats.completions import COMPLETIONS


def inject(
    prompt: Any, *, instructions: str = "INSTRUCTIONS", memory: str = "MEMORY", into_system: bool = False
) -> Any:
    body = {"prompt": prompt}
    COMPLETIONS.inject(body, instructions=instructions, memory=memory, into_system=into_system)
    return body["prompt"]


def said(*texts: str) -> tuple[Message, ...]:
    return tuple(Message(role="assistant", text=text) for text in texts)


def stream(*events: Any, n: Any = None) -> StreamedAnswer:
    reader = StreamedAnswer(COMPLETIONS, {"n": n})
    for event in events:
        reader.feed(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
    return reader


def chunk(text: str | None, index: int = 0, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "text": text, "finish_reason": finish_reason}]}


def test_a_prompt_is_a_user_message() -> None:
    read = COMPLETIONS.read({"prompt": "Once upon a time", "user": "u"})
    assert read is not None
    assert read.messages == (Message(role="user", text="Once upon a time"),)
    assert (read.user, read.question, read.uses_tools) == ("u", "Once upon a time", False)


@pytest.mark.parametrize("prompt", [["a", "b"], ["a"], [1, 2], [[1], [2]], None, 7, {"a": 1}, []])
def test_several_prompts_and_token_ids_are_no_conversation(prompt: Any) -> None:
    assert COMPLETIONS.read({"prompt": prompt}) is None
    assert inject(prompt) == prompt
    assert COMPLETIONS.read({}) is None


def test_an_echoed_prompt_is_not_added_to() -> None:
    assert COMPLETIONS.read({"prompt": "Hi.", "echo": True}) is None
    assert COMPLETIONS.read({"prompt": "Hi.", "echo": False}) is not None


def test_a_blank_prompt_holds_nothing() -> None:
    read = COMPLETIONS.read({"prompt": " \n", "user": 7})
    assert read is not None
    assert (read.messages, read.user) == ((), None)


@pytest.mark.parametrize("into_system", [False, True])
def test_instructions_and_memory_stand_before_the_prompt(into_system: bool) -> None:
    assert inject("one", into_system=into_system) == "INSTRUCTIONS\n\nMEMORY\n\none"
    assert inject("one", instructions="", into_system=into_system) == "MEMORY\n\none"
    assert inject("one", memory="", into_system=into_system) == "INSTRUCTIONS\n\none"
    assert inject("one", instructions="", memory="", into_system=into_system) == "one"


def test_every_choice_of_an_answer_is_read() -> None:
    answer = {"choices": [{"text": "a", "finish_reason": "stop"}, {"text": " "}, {"text": "b"}, {"text": None}]}
    assert COMPLETIONS.read_reply(answer) == Reply(said("a", "b"), complete=False)
    whole = {"choices": [{"text": "a", "finish_reason": "stop"}, {"text": "b", "finish_reason": "length"}]}
    assert COMPLETIONS.read_reply(whole) == Reply(said("a", "b"), complete=True)


def test_streamed_choices_are_put_together_and_complete_once_all_are_finished() -> None:
    chunks = [chunk("One "), chunk("Eins ", 1), chunk("two.", 0, "stop"), chunk("zwei.", 1), chunk(None, 1, "stop")]
    reader = stream(*chunks[:-1], n=2)
    assert reader.reply == Reply(said("One two.", "Eins zwei."), complete=False)
    reader = stream(*chunks, n=2)
    assert reader.complete
    assert reader.reply == Reply(said("One two.", "Eins zwei."), complete=True)


def test_a_choice_that_has_not_begun_is_waited_for() -> None:
    assert not stream(chunk("One.", 0, "stop"), n=2).complete
    assert stream(chunk("One.", 0, "stop"), "[DONE]", n=2).complete
    assert stream(chunk("One.", 0, "stop"), n="two").complete


def test_what_an_error_ended_is_a_part_whatever_follows_the_error() -> None:
    events = (chunk("One "), {"error": {"message": "broken", "code": "500"}}, "[DONE]")
    assert stream(*events).reply == Reply(said("One "), complete=False)
    assert not stream(*events, chunk("", 0, "stop"), "[DONE]").complete
    assert stream(events[0], {"error": None}, "[DONE]").complete, "null is no error"
