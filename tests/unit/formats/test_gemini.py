"""The Gemini format: reading odd requests, injecting, reading answers whole and streamed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.formats.answers import StreamedAnswer
from recallr_litellm.formats.base import Injection, Reply
from recallr_litellm.formats.gemini import GEMINI

IMAGE = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
CALL = {"functionCall": {"name": "weather", "args": {"city": "Rome"}}}
RESULT = {"functionResponse": {"name": "weather", "response": {"output": "sunny"}}}
INJECTED = {"text": "MEMORY\n\n"}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def model(*parts: Any) -> dict[str, Any]:
    return {**user(*parts), "role": "model"}


def inject(
    contents: Any, *, instructions: str = "INSTRUCTIONS", memory: str = "MEMORY", into_system: bool = False, **body: Any
) -> dict[str, Any]:
    request = {"contents": contents, **body}
    before = copy.deepcopy(request)
    given = dict(request)
    behind = GEMINI.read(request).of_the_user().words_behind
    GEMINI.inject(
        request, Injection(instructions=instructions, memory=memory, into_system=into_system, words_behind=behind)
    )
    assert given == before, "the client's own objects were written to"
    return request


def read(*contents: Any) -> tuple[Message, ...]:
    return GEMINI.read({"contents": list(contents)}).of_the_user().messages


@pytest.mark.parametrize(
    "contents",
    ["Hi.", user("Hi."), {"parts": {"text": "Hi."}}, [{"parts": [{"text": "Hi."}]}], [{"role": None, **user("Hi.")}]],
    ids=["text", "one content", "one part", "no role", "null role"],
)
def test_short_forms_are_read(contents: Any) -> None:
    assert GEMINI.read({"contents": contents}).messages == (Message(role="user", text="Hi."),)


def test_an_answer_kept_in_pieces_is_one_message() -> None:
    assert read(user("Hi."), model("Hel"), model("lo."), model(""), user("Bye.")) == (
        Message(role="user", text="Hi."),
        Message(role="assistant", text="Hello."),
        Message(role="user", text="Bye."),
    )
    assert read(model("Hel"), model("lo."))[-1] == Message(role="assistant", text="Hello.")


def test_thoughts_are_not_read_and_other_parts_are_named() -> None:
    thought = {"text": "Hm.", "thought": True, "thoughtSignature": "abc"}
    signed = {"thoughtSignature": "abc", "inlineData": {"mimeType": "image/png"}}
    assert read(model(thought, "Yes.", signed), user(IMAGE, {"fileData": {}, "videoMetadata": {}}, "Look.")) == (
        Message(role="assistant", text="Yes.", attachments=("inlineData",)),
        Message(role="user", text="Look.", attachments=("inlineData", "fileData")),
    )
    assert read(model(thought)) == ()


def test_calls_and_results_are_read() -> None:
    with_id = {"functionCall": {"id": "c2", "name": "time"}}
    second = {"functionResponse": {"id": "c2", "name": "time", "response": {"output": "noon"}}}
    conversation = GEMINI.read(
        {"contents": [user("Weather?"), model(CALL, with_id), user(RESULT, second)]}
    ).of_the_user()
    assert conversation.messages[1:] == (
        Message(
            role="assistant",
            tool_calls=(
                ToolCall(name="weather", arguments='{"city":"Rome"}'),
                ToolCall(id="c2", name="time", arguments="{}"),
            ),
        ),
        Message(role="tool", tool_call_id="weather", text='{"output":"sunny"}'),
        Message(role="tool", tool_call_id="c2", text='{"output":"noon"}'),
    )
    assert conversation.continues_turn
    assert conversation.question == "Weather?"


def test_snake_case_and_the_older_role_are_read() -> None:
    snake = [{"role": "model", "parts": [{"function_call": {"name": "f", "args": {}}}]}]
    result = {"role": "function", "parts": [{"function_response": {"name": "f", "response": {}}}]}
    assert read(*snake, result) == (
        Message(role="assistant", tool_calls=(ToolCall(name="f", arguments="{}"),)),
        Message(role="tool", tool_call_id="f", text="{}"),
    )


def test_results_together_with_words_are_a_new_turn() -> None:
    conversation = GEMINI.read({"contents": [user("Weather?"), model(CALL), user(RESULT, "And tomorrow?")]})
    assert [message.role for message in conversation.messages] == ["user", "assistant", "tool", "user"]
    assert not conversation.continues_turn
    assert conversation.question == "And tomorrow?"


def test_memory_stands_before_the_last_user_words_and_the_rest_is_the_same_object() -> None:
    contents = [user("one"), model("1"), user(IMAGE, "two")]
    tools: list[Any] = [{"functionDeclarations": []}]
    injected = inject(contents, tools=tools)
    assert injected["contents"][2] == user(INJECTED, IMAGE, "two")
    assert all(injected["contents"][index] is contents[index] for index in range(2))
    assert injected["contents"][2]["parts"][1] is contents[2]["parts"][0]
    assert injected["tools"] is tools


def test_words_behind_results_get_memory_behind_the_results() -> None:
    assert inject([user("a"), model(CALL), user(RESULT, RESULT, "b")])["contents"][2] == user(
        RESULT, RESULT, INJECTED, "b"
    )


@pytest.mark.parametrize(
    ("contents", "injected"),
    [
        ("Hi.", "MEMORY\n\nHi."),
        (user("Hi."), user(INJECTED, "Hi.")),
        ({"parts": {"text": "Hi."}}, {"parts": [INJECTED, {"text": "Hi."}]}),
        ([{"parts": [{"text": "Hi."}]}], [{"parts": [INJECTED, {"text": "Hi."}]}]),
        ([user("Hi."), {"role": "user", "parts": []}], [user(INJECTED, "Hi."), {"role": "user", "parts": []}]),
        ([model("Hi.")], [model("Hi.")]),
    ],
    ids=["text", "one content", "one part", "no role", "nothing said last", "nothing said"],
)
def test_short_forms_get_memory(contents: Any, injected: Any) -> None:
    assert inject(contents)["contents"] == injected


@pytest.mark.parametrize(
    ("system", "added"),
    [
        (None, {"parts": [{"text": "INSTRUCTIONS"}]}),
        ({}, {"parts": [{"text": "INSTRUCTIONS"}]}),
        ({"role": "system"}, {"role": "system", "parts": [{"text": "INSTRUCTIONS"}]}),
        ({"parts": [{"text": "Be kind."}]}, {"parts": [{"text": "Be kind.\n\nINSTRUCTIONS"}]}),
        ({"parts": [{"text": ""}]}, {"parts": [{"text": "INSTRUCTIONS"}]}),
        ({"parts": {"text": "Be kind."}}, {"parts": [{"text": "Be kind.\n\nINSTRUCTIONS"}]}),
        (
            {"parts": [{"text": "a"}, {"text": "b"}]},
            {"parts": [{"text": "a"}, {"text": "b"}, {"text": "INSTRUCTIONS"}]},
        ),
        ({"parts": [IMAGE]}, {"parts": [IMAGE, {"text": "INSTRUCTIONS"}]}),
        ("Be kind.", "Be kind.\n\nINSTRUCTIONS"),
        ([7], [7]),
        ({"parts": "odd"}, {"parts": "odd"}),
    ],
)
@pytest.mark.parametrize("key", ["systemInstruction", "system_instruction"])
def test_instructions_come_at_the_end_of_the_system_instruction(key: str, system: Any, added: Any) -> None:
    injected = inject([user("Hi.")], **{key: system})
    assert injected[key if system else "systemInstruction"] == added
    assert sum(bool(injected.get(name)) for name in ("systemInstruction", "system_instruction")) == 1


def candidate(*parts: Any, index: int = 0, finish: str | None = None) -> dict[str, Any]:
    return {"content": model(*parts), "index": index, **({"finishReason": finish} if finish else {})}


def stream(*events: Any) -> StreamedAnswer:
    reader = StreamedAnswer(GEMINI, {})
    for event in events:
        reader.feed(f"data: {json.dumps(event)}\r\n\r\n".encode())
    return reader


def chunk(*parts: Any, **options: Any) -> dict[str, Any]:
    return {"candidates": [candidate(*parts, **options)], "usageMetadata": {}}


def test_what_follows_a_finish_reason_belongs_to_the_answer() -> None:
    assert not stream(chunk("Wait.")).reply.complete
    reader = stream(chunk("Wait.", finish="STOP"), chunk(CALL, finish="STOP"))
    assert reader.reply.messages[0].tool_calls[0].name == "weather"
    assert reader.reply.complete


def test_all_streamed_candidates_have_to_be_finished() -> None:
    events = [chunk("a"), chunk("b", index=1), chunk(index=0, finish="STOP")]
    assert not stream(*events).reply.complete
    reply = stream(*events, chunk(index=1, finish="STOP")).reply
    assert [message.text for message in reply.messages] == ["a", "b"]
    assert reply.complete


def test_every_candidate_of_an_answer_is_read() -> None:
    answer = {"candidates": [candidate("a", CALL, finish="STOP"), candidate("b", index=1, finish="MAX_TOKENS")]}
    first = Message(role="assistant", text="a", tool_calls=(ToolCall(name="weather", arguments='{"city":"Rome"}'),))
    assert GEMINI.read_reply(answer) == Reply((first, Message(role="assistant", text="b")), complete=True)
    answer["candidates"][1]["finishReason"] = None
    assert not GEMINI.read_reply(answer).complete
    assert GEMINI.read_reply({"promptFeedback": {"blockReason": "SAFETY"}}).messages == ()
