"""The responses format: reading odd requests, injecting, reading answers whole and streamed."""

from __future__ import annotations

import copy
import json

import pytest

from recallr_litellm.core.messages import ToolCall
from recallr_litellm.formats.answers import StreamedAnswer
from recallr_litellm.formats.base import Injection
from recallr_litellm.formats.responses import RESPONSES

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
FILE = {"type": "input_file", "file_id": "file-1"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "AAAA"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'}
SECOND_CALL = {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Let me look.", "annotations": []}],
}


def read(given, **others):
    return RESPONSES.read({"input": given, **others}).of_the_user()


def user_says(text):
    return {"role": "user", "content": text}


def inject(given, *, instructions="INSTRUCTIONS", memory="MEMORY", into_system=False, **others):
    body = {"model": "m", "input": given, **others}
    before = copy.deepcopy(given)
    RESPONSES.inject(body, Injection(instructions=instructions, memory=memory, into_system=into_system))
    assert given == before, "the client's own list was written to"
    return body


@pytest.mark.parametrize("typed", [{}, {"type": "message"}], ids=["easy form", "full form"])
def test_messages_are_read_but_not_those_to_the_system(typed):
    roles = ("system", "developer", "user", "assistant", "narrator", None, ["user"])
    conversation = read([{**typed, "role": role, "content": f"by {role}"} for role in roles])
    assert [(m.role, m.text) for m in conversation.messages] == [("user", "by user"), ("assistant", "by assistant")]


def test_text_parts_are_read_and_other_parts_named():
    texts = [{"type": kind, "text": kind} for kind in ("input_text", "text")]
    [message] = read([user_says([texts[0], IMAGE, FILE, texts[1], {"type": 1}, None, "x"])]).messages
    assert (message.text, message.attachments) == ("input_text\ntext", ("input_image", "input_file", "unknown"))


@pytest.mark.parametrize(
    ("call", "result", "read_as"),
    [
        (
            {"type": "custom_tool_call", "call_id": "c1", "name": "run", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "a.txt"},
            ToolCall(id="c1", name="run", arguments="ls"),
        ),
        (
            {"type": "computer_call", "call_id": "c1", "action": {"type": "click", "x": 1}},
            {"type": "computer_call_output", "call_id": "c1", "output": {"type": "computer_screenshot"}},
            ToolCall(id="c1", name="computer", arguments='{"type": "click", "x": 1}'),
        ),
    ],
    ids=["custom tool", "computer"],
)
def test_other_calls_that_the_client_answers_are_read(call, result, read_as):
    conversation = read([user_says("go"), call, result])
    assert conversation.messages[1].tool_calls == (read_as,)
    assert conversation.messages[2].tool_call_id == "c1"
    assert conversation.continues_turn


@pytest.mark.parametrize(
    "item",
    [
        REASONING,
        {"type": "item_reference", "id": "msg_1"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "mcp_call", "id": "mcp_1", "name": "x", "arguments": "{}", "output": "y"},
        {"type": "compaction", "encrypted_content": "AAAA"},
        {"type": "something_new", "content": "x", "role": "user"},
        {"type": "function_call", "name": "no call_id"},
        {"type": "function_call_output", "output": "no call_id"},
    ],
    ids=lambda item: item["type"],
)
def test_other_items_are_left_out(item):
    assert [m.text for m in read([user_says("one"), item, user_says("two")]).messages] == ["one", "two"]


@pytest.mark.parametrize("key", ["previous_response_id", "conversation"])
def test_the_provider_may_keep_the_history(key):
    assert read("Hi.", **{key: "id"}).history_elsewhere
    assert read("Hi.", extra_body={key: "id"}).history_elsewhere
    assert not read("Hi.", **{key: None}, extra_body={key: ""}).history_elsewhere
    assert not read("Hi.", extra_body=[key]).history_elsewhere


OUTPUTS = {
    "text": [SAID],
    "text and two calls": [REASONING, SAID, CALL, SECOND_CALL],
    "calls": [REASONING, CALL, REASONING, SECOND_CALL],
    "two texts": [SAID, {"type": "web_search_call", "id": "ws_1"}, {**SAID, "id": "msg_2"}],
    "a refusal": [{**SAID, "content": [{"type": "refusal", "refusal": "I cannot."}]}],
    "an image": [{"type": "image_generation_call", "id": "ig_1", "result": "AAAA"}],
}


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_what_was_answered_is_recognised_when_the_client_sends_its_items_back(output):
    [stored] = RESPONSES.read_reply({"status": "completed", "output": output}).messages
    [streamed] = finished(output).reply.messages
    _, sent_back, _ = read([user_says("one"), *output, user_says("two")]).messages
    assert stored.fingerprint == sent_back.fingerprint == streamed.fingerprint


def test_memory_stands_before_the_users_words_and_instructions_are_the_bodys():
    assert inject("one") == {"model": "m", "input": "MEMORY\n\none", "instructions": "INSTRUCTIONS"}
    assert inject("one", instructions="", memory="") == {"model": "m", "input": "one"}, "nothing to add adds nothing"


def test_all_items_but_the_last_user_message_are_the_same_objects_in_their_order():
    given = [{"role": "developer", "content": "x"}, user_says("one"), REASONING, SAID, user_says("two"), CALL, RESULT]
    injected = inject(given)["input"]
    assert injected[4] == user_says("MEMORY\n\ntwo")
    assert [new is old for new, old in zip(injected, given, strict=True)] == [True] * 4 + [False] + [True] * 2


def test_parts_pass_through_and_memory_is_a_text_part_before_them():
    words = {"type": "input_text", "text": "look"}
    [message] = inject([{"type": "message", "role": "user", "content": [words, IMAGE, FILE]}])["input"]
    assert message == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "MEMORY\n\n"}, words, IMAGE, FILE],
    }


@pytest.mark.parametrize("key", ["previous_response_id", "conversation"])
@pytest.mark.parametrize("given", ["two", [user_says("two")], [RESULT]], ids=["string", "message", "result"])
def test_where_the_provider_keeps_the_input_memory_is_in_the_instructions(key, given):
    body = inject(given, **{key: "id"})
    assert body["input"] is given
    assert body["instructions"] == "INSTRUCTIONS\n\nMEMORY"


@pytest.mark.parametrize("given", [[], [CALL, RESULT], [{"type": "item_reference", "id": "msg_1"}], None])
def test_without_a_user_message_memory_is_in_the_instructions(given):
    body = inject(given, instructions="")
    assert body["input"] is given
    assert body["instructions"] == "MEMORY"


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        *[(status, True) for status in ("completed", "incomplete")],
        *[(status, False) for status in ("failed", "in_progress", "queued", "cancelled", None, ["completed"])],
    ],
)
def test_a_whole_answer_is_complete_when_it_will_not_grow(status, complete):
    reply = RESPONSES.read_reply({"status": status, "output": [SAID]})
    assert [m.text for m in reply.messages] == ["Let me look."]
    assert reply.complete is complete


def events_of(output, *, cut_texts=4):
    """The events of a stream up to its last."""
    events = [{"type": "response.created", "response": {"status": "in_progress", "output": []}}]
    for index, item in enumerate(output):
        place = {"output_index": index, "item_id": item.get("id")}
        begun = {**item, "status": "in_progress"}
        if "arguments" in item:
            begun["arguments"] = ""
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        for content_index, part in enumerate(item.get("content", ())):
            kind = part["type"]
            text = part.get("text", part.get("refusal"))
            for begin in range(0, len(text), cut_texts):
                delta = text[begin : begin + cut_texts]
                events.append(
                    {"type": f"response.{kind}.delta", **place, "content_index": content_index, "delta": delta}
                )
        arguments = item.get("arguments", "")
        for begin in range(0, len(arguments), cut_texts):
            delta = arguments[begin : begin + cut_texts]
            events.append({"type": "response.function_call_arguments.delta", **place, "delta": delta})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    return events


def streamed(events):
    reader = StreamedAnswer(RESPONSES, {})
    for event in events:
        reader.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    return reader


def finished(output):
    response = {"status": "completed", "output": output}
    return streamed([*events_of(output), {"type": "response.completed", "response": response}])


def test_of_a_faked_stream_only_what_its_deltas_brought_has_been_said():
    whole_at_once = {"type": "response.output_item.added", "output_index": 0, "item": SAID}
    assert streamed([whole_at_once]).reply.messages == ()
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Let m"}
    assert [m.text for m in streamed([whole_at_once, delta]).reply.messages] == ["Let m"]


def test_the_last_event_wins_over_what_came_before_unless_it_brings_nothing():
    events = events_of([SAID])
    other = {**SAID, "content": [{"type": "output_text", "text": "Masked."}]}
    for kind in ("completed", "incomplete"):
        reader = streamed([*events, {"type": f"response.{kind}", "response": {"output": [other]}}])
        assert (reader.reply.complete, [m.text for m in reader.reply.messages]) == (True, ["Masked."])
    for empty in ({"output": []}, {"output": None}, None, "x"):
        reader = streamed([*events, {"type": "response.completed", "response": empty}])
        assert (reader.reply.complete, [m.text for m in reader.reply.messages]) == (True, ["Let me look."])


def test_instructions_stand_behind_the_clients_own():
    body = {"input": "one", "instructions": "Be kind."}
    RESPONSES.inject(body, Injection(instructions="INSTRUCTIONS", memory="MEMORY", into_system=False))
    assert body == {"input": "MEMORY\n\none", "instructions": "Be kind.\n\nINSTRUCTIONS"}


def test_each_part_of_each_item_is_gathered_for_itself():
    def delta(item, part, text):
        return {"type": "response.output_text.delta", "output_index": item, "content_index": part, "delta": text}

    reader = streamed([delta(1, 0, "C"), delta(0, 1, "B"), delta(0, 0, "A"), delta(1, 0, "!"), delta(0, 1, "?")])
    assert [m.text for m in reader.reply.messages] == ["A\nB?\nC!"]
