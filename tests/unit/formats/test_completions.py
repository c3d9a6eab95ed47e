"""The legacy completions format: one prompt is one message, and what is no conversation is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from recallr_litellm.core.messages import Message
from recallr_litellm.formats.base import Injection, Reply
from recallr_litellm.formats.completions import COMPLETIONS


def inject(
    prompt: Any, *, instructions: str = "INSTRUCTIONS", memory: str = "MEMORY", into_system: bool = False
) -> Any:
    body = {"prompt": prompt}
    COMPLETIONS.inject(body, Injection(instructions=instructions, memory=memory, into_system=into_system))
    return body["prompt"]


def said(*texts: str) -> tuple[Message, ...]:
    return tuple(Message(role="assistant", text=text) for text in texts)


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
