"""A streamed answer is put together into the object that the same call returns unstreamed, in every format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from recallr_litellm.formats import Format
from recallr_litellm.formats.anthropic import ANTHROPIC
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

HELLO = [{"role": "user", "content": "Hello"}]
WITH_USAGE = {"model": "m", "stream_options": {"include_usage": True}}
FORMATS: dict[str, tuple[Wire, Format, dict[str, Any]]] = {
    "chat": (Chat(), CHAT, {**WITH_USAGE, "messages": HELLO}),
    "completions": (Completions(), COMPLETIONS, {**WITH_USAGE, "prompt": "Hello"}),
    "responses": (Responses(), RESPONSES, {"model": "m", "input": "Hello"}),
    "anthropic": (Anthropic(), ANTHROPIC, {"model": "m", "messages": HELLO, "thinking": {"type": "enabled"}}),
    "gemini": (Gemini(), GEMINI, {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}),
}
CALLS = (ToolCall(name="weather", arguments='{"city": "Köln"}', id="c1"), ToolCall(name="time", id="c2"))
ANSWERS = {
    "text": Answer(text="Grüße aus Köln 🦊, und  mehr."),
    "cut by length": Answer(text="One two", finish_reason="length"),
    "tool calls": Answer(tool_calls=CALLS),
    "text and tool calls": Answer(text="Let me see.", tool_calls=CALLS),
}


def data_of(events: Any) -> tuple[str, ...]:
    """The `data` of the wire's events."""
    return tuple(event.data.decode().partition("data: ")[2].rstrip("\n") for event in events)


def put_together(format: Format, events: Sequence[str], **request: Any) -> dict[str, Any] | None:
    reader = format.stream_reader(request)
    for data in events:
        reader.feed(data)
    return reader.whole


def answered(name: str, answer: Answer, **extra: Any) -> tuple[dict[str, Any], dict[str, Any] | None, tuple[str, ...]]:
    """What the provider answers whole, what is made of its stream, and the stream."""
    wire, format, body = FORMATS[name]
    body = {**body, **extra}
    events = data_of(wire.events(answer, body, 7))
    return wire.whole(answer, body, 7), put_together(format, events, **body), events


def undated(reply: dict[str, Any] | None) -> dict[str, Any]:
    """Without the time of the answer, which is another for each, and the empty list of annotations that OpenAI has in
    whole messages only.
    """
    assert reply is not None, "a whole stream must give an object"
    for choice in reply.get("choices", ()):
        if choice.get("message", {}).get("annotations") == []:
            del choice["message"]["annotations"]
    return {key: value for key, value in reply.items() if key not in ("created", "created_at")}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_gives_the_whole_object(name: str, answer: Answer) -> None:
    if name == "completions":
        answer = answer.model_copy(update={"tool_calls": (), "text": answer.text or "Hm."})  # it has no tools
    whole, assembled, _ = answered(name, answer)
    if name == "gemini":  # an empty part is how its streams end
        whole["candidates"][0]["content"]["parts"] = [
            part for part in whole["candidates"][0]["content"]["parts"] if part != {"text": ""}
        ]
    assert undated(assembled) == undated(whole)
    assert assembled is not None
    assert FORMATS[name][1].read_reply(assembled) == FORMATS[name][1].read_reply(whole)


@pytest.mark.parametrize("name", ["chat", "completions"])
def test_every_choice_is_kept(name: str) -> None:
    whole, assembled, _ = answered(name, Answer(text="Yes"), n=3)
    assert len(whole["choices"]) == 3
    assert undated(assembled) == undated(whole)


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_that_broke_off_gives_what_came(name: str) -> None:
    _, _, events = answered(name, Answer(text="one two three four"))
    last = max(number for number, data in enumerate(events) if "two" in data and "four" not in data)
    assembled = put_together(FORMATS[name][1], events[: last + 1])
    assert assembled is not None
    text = json.dumps(assembled)
    assert "one two" in text
    assert "three" not in text
    reasons = [*assembled.get("choices", ()), *assembled.get("candidates", ()), assembled]
    for reason in ("finish_reason", "finishReason", "stop_reason"):
        assert all(place.get(reason) is None for place in reasons), f"{reason} of what broke off: {assembled}"
    if name == "responses":
        assert assembled["status"] == "in_progress"


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_answered_gives_nothing(name: str) -> None:
    format = FORMATS[name][1]
    assert put_together(format, ()) is None
    nothing = ("[DONE]", "", "no JSON", "[]", "7", '{"error": {"message": "x"}}', "[" * 100_000)
    assert put_together(format, nothing) is None


def chunk(delta: dict[str, Any], **extra: Any) -> str:
    return json.dumps({"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta, **extra}]})


def message_of(*chunks: str) -> dict[str, Any]:
    assembled = put_together(CHAT, chunks)
    assert assembled is not None
    found: dict[str, Any] = assembled["choices"][0]["message"]
    return found


def test_log_probabilities_and_fields_of_the_chunks_are_kept() -> None:
    assembled = put_together(
        CHAT,
        (
            json.dumps({"id": "x", "created": 5, "citations": ["a"], "usage": None, "choices": []}),
            chunk({"content": "Yes"}, logprobs={"content": [{"token": "Yes"}], "refusal": None}),
            chunk({"content": "."}, logprobs={"content": [{"token": "."}], "refusal": None}, finish_reason="stop"),
            json.dumps({"id": "x", "choices": [], "usage": {"total_tokens": 3}, "system_fingerprint": "fp"}),
        ),
    )
    assert assembled == {
        "id": "x",
        "created": 5,
        "citations": ["a"],
        "model": "m",
        "object": "chat.completion",
        "system_fingerprint": "fp",
        "usage": {"total_tokens": 3},
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Yes."},
                "logprobs": {"content": [{"token": "Yes"}, {"token": "."}], "refusal": None},
            }
        ],
    }


def test_tool_calls_without_numbers_are_told_apart_by_their_ids() -> None:
    def call(**fields: Any) -> str:
        return chunk({"tool_calls": [{"type": "function", **fields}]})

    found = message_of(
        call(id="a", function={"name": "f", "arguments": '{"x"'}),
        call(function={"arguments": ": 1}"}),
        call(id="b", function={"name": "f", "arguments": "{}"}),
    )
    assert [(one["id"], one["function"]["arguments"]) for one in found["tool_calls"]] == [
        ("a", '{"x": 1}'),
        ("b", "{}"),
    ]


def test_thinking_in_unnumbered_pieces_becomes_one_block_a_signature() -> None:
    def thought(**fields: Any) -> str:
        return chunk({"thinking_blocks": [{"type": "thinking", **fields}]})

    found = message_of(
        thought(thinking="Let "),
        thought(thinking="me."),
        thought(thinking="", signature="s1"),
        thought(thinking="More"),
    )
    assert found["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Let me.", "signature": "s1"},
        {"type": "thinking", "thinking": "More"},
    ]


def test_the_one_finish_reason_that_litellm_passes_on_is_that_of_all_choices() -> None:
    chunks = [json.dumps({"id": "x", "choices": [{"index": index, "delta": {"content": "a"}}]}) for index in (0, 1)] + [
        json.dumps({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
    ]
    cut, ended = put_together(CHAT, chunks), put_together(CHAT, [*chunks, "[DONE]"])
    broken = put_together(CHAT, [*chunks, '{"error": {"message": "broken"}}', "[DONE]"])
    assert cut is not None
    assert ended is not None
    assert broken is not None
    assert [choice["finish_reason"] for choice in cut["choices"]] == ["length", None], "it broke off before its end"
    assert [choice["finish_reason"] for choice in broken["choices"]] == [None, None], "an error ended it"
    assert [choice["finish_reason"] for choice in ended["choices"]] == ["length", "length"]


def test_the_output_of_a_response_whose_last_event_leaves_it_out_is_put_together() -> None:
    _, whole, events = answered("responses", Answer(text="Hello you"))
    last = json.loads(events[-1])
    last["response"]["output"] = []
    assembled = put_together(RESPONSES, (*events[:-1], json.dumps(last)))
    assert undated(assembled) == undated(whole)


def test_citations_of_anthropic_are_kept() -> None:
    events = [
        {"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "", "citations": []}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "So"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"cited": "a"}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {"cited": "b"}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "new": 1}, "usage": {"output_tokens": 2}},
    ]
    assert put_together(ANTHROPIC, [json.dumps(event) for event in events]) == {
        "id": "m",
        "content": [{"type": "text", "text": "So", "citations": [{"cited": "a"}, {"cited": "b"}]}],
        "usage": {"input_tokens": 3, "output_tokens": 2},
        "stop_reason": "end_turn",
        "new": 1,
    }


def test_thoughts_and_signatures_of_gemini_are_kept() -> None:
    def event(*parts: dict[str, Any]) -> str:
        return json.dumps({"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": 0}]})

    assembled = put_together(
        GEMINI,
        [
            event({"text": "Let ", "thought": True}),
            event({"text": "me.", "thought": True}),
            event({"text": "Yes"}),
            event({"text": ".", "thoughtSignature": "sig"}),
            event({"functionCall": {"name": "f", "args": {}}}),
            event({"text": ""}),
        ],
    )
    assert assembled is not None
    assert assembled["candidates"][0]["content"]["parts"] == [
        {"text": "Let me.", "thought": True},
        {"text": "Yes.", "thoughtSignature": "sig"},
        {"functionCall": {"name": "f", "args": {}}},
    ]


def test_refusals_reasoning_and_unknown_fields_are_kept() -> None:
    found = message_of(
        chunk({"role": "assistant", "content": None}),
        chunk({"refusal": "I "}),
        chunk({"refusal": "cannot.", "reasoning_content": "Be"}),
        chunk({"reasoning_content": "cause.", "new_field": {"a": "x", "b": [1]}}),
        chunk({"role": "assistant", "new_field": {"a": "y", "b": [2]}}),
    )
    assert found == {
        "role": "assistant",
        "content": None,
        "refusal": "I cannot.",
        "reasoning_content": "Because.",
        "new_field": {"a": "xy", "b": [1, 2]},
    }


def test_every_candidate_is_kept() -> None:
    whole, assembled, _ = answered("gemini", Answer(choices=("Yes", "No")))
    assert assembled == whole
