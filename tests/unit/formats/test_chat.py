"""The chat completions format: reading odd requests, injecting, reading answers whole and streamed."""

from __future__ import annotations

import copy
import json

import pytest

from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.formats.answers import StreamedAnswer
from recallr_litellm.formats.chat import CHAT

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}


def inject(messages, *, instructions="INSTRUCTIONS", memory="<recallr_memory>\n</recallr_memory>", into_system=False):
    body = {"messages": messages}
    before = copy.deepcopy(messages)
    CHAT.inject(body, instructions=instructions, memory=memory, into_system=into_system)
    assert messages == before, "the client's own list was written to"
    return body["messages"]


def test_system_and_developer_messages_are_not_part_of_the_conversation():
    read = CHAT.read(
        {"messages": [{"role": r, "content": r} for r in ("system", "developer", "user", "assistant", "narrator")]}
    )
    assert [m.role for m in read.messages] == ["user", "assistant"]


def test_text_parts_are_read_and_other_parts_named():
    [message] = CHAT.read(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "look"}, IMAGE, {"type": "text", "text": "!"}]}
            ]
        }
    ).messages
    assert (message.text, message.attachments) == ("look\n!", ("image_url",))


def test_tool_calls_and_results_are_read():
    read = CHAT.read(
        {
            "messages": [
                {"role": "user", "content": "weather?"},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": ""},
            ],
            "tools": [{"type": "function"}],
        }
    )
    assert read.messages[1].tool_calls == (ToolCall(id="c1", name="weather", arguments='{"city":"Rome"}'),)
    assert read.messages[2] == Message(role="tool", tool_call_id="c1")
    assert read.continues_turn
    assert read.uses_tools
    assert read.question == "weather?"


def test_memory_stands_before_the_last_user_words_and_the_rest_is_the_same_object():
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two"},
    ]
    injected = inject(messages, memory="MEMORY")
    assert injected[0] == {"role": "system", "content": "be kind\n\nINSTRUCTIONS"}
    assert injected[1] is messages[1]
    assert injected[2] is messages[2]
    assert injected[3] == {"role": "user", "content": "MEMORY\n\ntwo"}


def test_instructions_make_a_system_message_where_there_is_none():
    assert inject([{"role": "user", "content": "one"}], memory="") == [
        {"role": "system", "content": "INSTRUCTIONS"},
        {"role": "user", "content": "one"},
    ]


def test_parts_pass_through_and_memory_is_a_text_part_before_them():
    cached = {"type": "text", "text": "rules", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [cached]}, {"role": "user", "content": [IMAGE]}]
    injected = inject(messages, memory="MEMORY")
    assert injected[0]["content"] == [cached, {"type": "text", "text": "INSTRUCTIONS"}]
    assert injected[1]["content"] == [{"type": "text", "text": "MEMORY\n\n"}, IMAGE]


def test_in_a_tool_turn_memory_stays_in_the_user_message_and_nothing_parts_call_and_result():
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    injected = inject(messages, instructions="", memory="MEMORY")
    assert injected == [{"role": "user", "content": "MEMORY\n\nweather?"}, messages[1], messages[2]]


def test_memory_may_go_into_the_system_message():
    injected = inject([{"role": "user", "content": "one"}], memory="MEMORY", into_system=True)
    assert injected == [{"role": "system", "content": "INSTRUCTIONS\n\nMEMORY"}, {"role": "user", "content": "one"}]


def test_a_whole_answer_with_several_choices_is_read():
    reply = CHAT.read_reply(
        {
            "choices": [
                {"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"},
                {"message": {"role": "assistant", "content": None, "refusal": "no"}, "finish_reason": "stop"},
                {
                    "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
                    "finish_reason": "tool_calls",
                },
            ]
        }
    )
    assert [m.text for m in reply.messages] == ["a", "no", ""]
    assert reply.messages[2].tool_calls[0].name == "weather"
    assert reply.complete


def chunk(delta, *, index=0, finish=None):
    return {"object": "chat.completion.chunk", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def streamed(events, *, n=None):
    reader = StreamedAnswer(CHAT, {"n": n})
    for event in events:
        reader.feed(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
    return reader


def test_streamed_tool_calls_are_put_together():
    def call(index, **function):
        return {"tool_calls": [{"index": index, "id": function.pop("id", None), "function": function}]}

    reader = streamed(
        [
            chunk(call(0, id="c1", name="weather", arguments="")),
            chunk(call(0, arguments='{"city":')),
            chunk(call(1, id="c2", name="time", arguments="{}")),
            chunk(call(0, arguments='"Rome"}')),
            chunk({}, finish="tool_calls"),
        ]
    )
    assert reader.reply.messages[0].tool_calls == (
        ToolCall(id="c1", name="weather", arguments='{"city":"Rome"}'),
        ToolCall(id="c2", name="time", arguments="{}"),
    )


def test_streamed_choices_are_kept_apart_and_all_must_finish():
    events = [chunk({"content": "A"}, index=0), chunk({"content": "B"}, index=1), chunk({}, index=0, finish="stop")]
    reader = streamed(events, n=2)
    assert not reader.complete
    reader = streamed([*events, chunk({}, index=1, finish="stop")], n=2)
    assert [m.text for m in reader.reply.messages] == ["A", "B"]
    assert reader.complete
    assert not streamed([chunk({"content": "A"}, finish="stop")], n=2).complete, "one has not begun"
    assert streamed([chunk({"content": "A"}, finish="stop")], n="two").complete


@pytest.mark.parametrize("choices", [1, 2])
def test_what_an_error_ended_is_a_part_whatever_follows_the_error(choices):
    events = [chunk({"content": "one two"}), {"error": {"message": "broken", "code": "500"}}, "[DONE]"]
    reader = streamed(events, n=choices)
    assert [m.text for m in reader.reply.messages] == ["one two"]
    assert not reader.complete
    assert not streamed([*events, chunk({}, finish="stop"), "[DONE]"]).reply.complete
    assert streamed([events[0], {**chunk({}), "error": None}, "[DONE]"]).complete, "null is no error"
