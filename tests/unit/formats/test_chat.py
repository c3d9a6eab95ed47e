"""The chat completions format: reading odd requests, injecting, reading answers whole and streamed."""

from __future__ import annotations

import copy
import json

import pytest

from recallr_litellm.formats.answers import StreamedAnswer
from recallr_litellm.formats.base import Injection
from recallr_litellm.formats.chat import CHAT

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def inject(messages, *, instructions="INSTRUCTIONS", memory="<recallr_memory>\n</recallr_memory>", into_system=False):
    body = {"messages": messages}
    before = copy.deepcopy(messages)
    CHAT.inject(body, Injection(instructions=instructions, memory=memory, into_system=into_system))
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


def test_parts_pass_through_and_memory_is_a_text_part_before_them():
    cached = {"type": "text", "text": "rules", "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [cached]}, {"role": "user", "content": [IMAGE]}]
    injected = inject(messages, memory="MEMORY")
    assert injected[0]["content"] == [cached, {"type": "text", "text": "INSTRUCTIONS"}]
    assert injected[1]["content"] == [{"type": "text", "text": "MEMORY\n\n"}, IMAGE]


def chunk(delta, *, index=0, finish=None):
    return {"object": "chat.completion.chunk", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


def streamed(events, *, n=None):
    reader = StreamedAnswer(CHAT, {"n": n})
    for event in events:
        reader.feed(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
    return reader


def test_streamed_choices_are_kept_apart_and_all_must_finish():
    events = [chunk({"content": "A"}, index=0), chunk({"content": "B"}, index=1), chunk({}, index=0, finish="stop")]
    reader = streamed(events, n=2)
    assert not reader.reply.complete
    reader = streamed([*events, chunk({}, index=1, finish="stop")], n=2)
    assert [m.text for m in reader.reply.messages] == ["A", "B"]
    assert reader.reply.complete
    assert not reader.ended, "the usage may follow, or an answer to tools that the gateway has run itself"
    assert streamed([chunk({"content": "A"}, finish="stop")], n="two").reply.complete


@pytest.mark.parametrize("choices", [1, 2])
def test_what_an_error_ended_is_a_part_whatever_follows_the_error(choices):
    events = [chunk({"content": "one two"}), {"error": {"message": "broken", "code": "500"}}, "[DONE]"]
    reader = streamed(events, n=choices)
    assert [m.text for m in reader.reply.messages] == ["one two"]
    assert not reader.reply.complete
    assert not streamed([*events, chunk({}, finish="stop"), "[DONE]"]).reply.complete
    assert streamed([events[0], {**chunk({}), "error": None}, "[DONE]"]).reply.complete, "null is no error"


def test_a_refusal_is_what_the_assistant_said():
    for refusal in ({"refusal": "no"}, {"provider_specific_fields": {"refusal": "no"}}):
        message = {"role": "assistant", "content": None, **refusal}
        reply = CHAT.read_reply({"choices": [{"message": message, "finish_reason": "stop"}]})
        assert ([m.text for m in reply.messages], reply.complete) == (["no"], True)


def test_the_name_of_a_user_is_read_and_part_of_the_message() -> None:
    raw = [
        {"role": "user", "name": "ana", "content": "Yes."},
        {"role": "user", "name": " Bo \n Li " + "x" * 99, "content": "Yes."},
        {"role": "user", "name": 7, "content": "Yes."},
        {"role": "assistant", "name": "bot", "content": "Yes."},
        {"role": "function", "name": "look_up", "content": "Yes."},
    ]
    ana, bo, nobody, bot, result = CHAT.read({"messages": raw}).messages
    assert (ana.name, bo.name, nobody.name, bot.name, result.name) == ("ana", ("Bo Li " + "x" * 99)[:64], "", "", "")
    assert len({message.fingerprint for message in (ana, bo, nobody)}) == 3, "who says it makes another message"
    assert len({message.likeness for message in (ana, bo, nobody)}) == 3
    assert result.tool_call_id == "look_up"


def test_what_the_user_answers_to_a_tool_is_said_by_the_user_message_right_behind_it():
    def called(tool, result):
        call = {"id": tool, "type": "function", "function": {"name": tool, "arguments": "{}"}}
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": tool, "content": result},
        ]

    details = {"role": "user", "content": "<environment_details>\n# Open tabs\n</environment_details>"}
    task = {"role": "user", "content": "<user_message>\nMove the reports\n</user_message>"}
    asked = called("ask_followup_question", "<user_message>\nUse Parquet\n</user_message>")
    read = CHAT.read({"messages": [task, *asked, details]}).of_the_user()
    assert [m.text for m in read.messages if m.role == "user"] == ["Move the reports", "Use Parquet"]
    assert (read.question, read.words_behind, read.continues_turn) == ("Use Parquet", 0, False)

    looked = called("read_file", "<user_message>\nin a file\n</user_message>")
    read = CHAT.read({"messages": [task, *asked, details, *looked, details]}).of_the_user()
    assert [m.text for m in read.messages if m.role == "user"] == ["Move the reports", "Use Parquet"]
    assert (read.question, read.words_behind, read.continues_turn) == ("Use Parquet", 1, True)

    elsewhere = called("ask_followup_question", "<answer>Avro</answer>")
    read = CHAT.read({"messages": [task, *elsewhere, {"role": "assistant", "content": "Ok."}, details]}).of_the_user()
    assert read.question == "Move the reports"
