"""Whatever stands where in a request, an answer or an event: no format raises, or writes to what the client sent."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from recallr_litellm.formats import Format
from recallr_litellm.formats.answers import StreamedAnswer
from recallr_litellm.formats.anthropic import ANTHROPIC
from recallr_litellm.formats.base import Injection
from recallr_litellm.formats.chat import CHAT
from recallr_litellm.formats.completions import COMPLETIONS
from recallr_litellm.formats.gemini import GEMINI
from recallr_litellm.formats.responses import RESPONSES
from tests.support.script import Answer, ToolCall
from tests.support.wires import Wire
from tests.support.wires.anthropic import Anthropic
from tests.support.wires.chat import Chat
from tests.support.wires.completions import Completions
from tests.support.wires.gemini import Gemini
from tests.support.wires.responses import Responses

ODD = [None, True, -1, 2**70, "", "x", [], [None], ["x", {}], {}, {"x": 1}, {"type": [], "index": 0}]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}

REQUESTS: dict[str, tuple[Wire, Format, dict[str, Any]]] = {
    "chat": (
        Chat(),
        CHAT,
        {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "s"}]},
                {"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "r"},
                {"role": "user", "content": "b"},
            ],
            "user": "u",
            "n": 1,
            "tools": [{"type": "function"}],
        },
    ),
    "completions": (Completions(), COMPLETIONS, {"prompt": "a", "user": "u", "n": 1, "echo": False}),
    "responses": (
        Responses(),
        RESPONSES,
        {
            "input": [
                {"role": "user", "content": "a"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "r"}]},
                {"role": "user", "content": [{"type": "input_text", "text": "b"}]},
            ],
            "instructions": "s",
            "previous_response_id": None,
            "extra_body": {"conversation": None},
        },
    ),
    "anthropic": (
        Anthropic(),
        ANTHROPIC,
        {
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]},
                {"role": "user", "content": "b"},
            ],
            "metadata": {"user_id": "u"},
        },
    ),
    "gemini": (
        Gemini(),
        GEMINI,
        {
            "systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "a"}, {"inlineData": {}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
                {"role": "user", "parts": {"text": "b"}},
            ],
        },
    ),
}
ANSWER = Answer(text="one two", tool_calls=(ToolCall(name="weather", arguments='{"city": "Rome"}', id="c1"),))


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("into_system", [False, True])
def test_any_request_is_read_and_injected_into(name: str, into_system: bool) -> None:
    _, format, request = REQUESTS[name]
    for body in spoilt(request):
        if not isinstance(body, dict):
            continue
        before, sent = copy.deepcopy(body), dict(body)
        conversation = format.read(body)
        conversation = conversation and conversation.of_the_user()
        behind = conversation.words_behind if conversation else 0
        format.inject(
            body, Injection(instructions="INSTRUCTIONS", memory="MEMORY", into_system=into_system, words_behind=behind)
        )
        assert sent == before, "what the client sent was written to"
        if conversation is not None:
            assert all(message.fingerprint and not message.empty for message in conversation.messages)
            format.read(body)


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("into_system", [False, True])
def test_nothing_to_inject_changes_nothing(name: str, into_system: bool) -> None:
    _, format, request = REQUESTS[name]
    body = copy.deepcopy(request)
    format.inject(body, Injection(instructions="", memory="", into_system=into_system))
    assert body == request


@pytest.mark.parametrize("name", REQUESTS)
def test_any_whole_answer_is_read(name: str) -> None:
    wire, format, request = REQUESTS[name]
    for answer in spoilt(wire.whole(ANSWER, {"model": "m", **request}, 7)):
        if isinstance(answer, dict):
            assert all(message.fingerprint for message in format.read_reply(answer).messages)


@pytest.mark.parametrize("name", REQUESTS)
def test_any_event_of_a_stream_is_taken(name: str) -> None:
    wire, format, request = REQUESTS[name]
    events = [event.data for event in wire.events(ANSWER, {"model": "m", **request}, 7)]
    for number, event in enumerate(events):
        data = event.decode().partition("data: ")[2].rstrip("\n")
        for odd in spoilt(json.loads(data)) if data != "[DONE]" else ():
            stream = StreamedAnswer(format, request)
            stream.feed(b"".join(events[:number]) + f"data: {json.dumps(odd)}\n\n".encode())
            stream.feed(b"".join(events[number + 1 :]))
            json.dumps(stream.whole)
            assert all(message.fingerprint for message in stream.reply.messages)
            assert not stream._given_up, f"odd input is understood as nothing, it is no fault: {odd}"


def spoilt(value: Any) -> Iterator[Any]:
    """A JSON value, each of its places in turn taken by something odd."""
    for place in range(places_in(value)):
        for odd in ODD:
            yield spoil(value, place, odd)


def places_in(value: Any) -> int:
    """How many values, whole and inner, a JSON value has."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(places_in(item) for item in inner)


def spoil(value: Any, place: int, odd: Any) -> Any:
    """A JSON value with one of its places, counted in order, taken by something odd."""
    counter = iter(range(10_000))

    def walk(item: Any) -> Any:
        if next(counter) == place:
            return copy.deepcopy(odd)
        if isinstance(item, dict):
            return {key: walk(inner) for key, inner in item.items()}
        if isinstance(item, list):
            return [walk(inner) for inner in item]
        return item

    return walk(value)
