"""The Anthropic Messages format: reading odd requests, injecting, reading answers whole and streamed."""

from __future__ import annotations

import copy
import json

import pytest

from recallr_litellm.core.helper_calls import helper_call
from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.formats.answers import StreamedAnswer
from recallr_litellm.formats.anthropic import ANTHROPIC
from recallr_litellm.formats.base import Injection

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A tale."}}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome", "at": [1, 2.5]}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
CACHED = {"type": "text", "text": "rules", "cache_control": {"type": "ephemeral"}}
MEMORY = {"type": "text", "text": "MEMORY\n\n"}


def text(said, **more):
    return {"type": "text", "text": said, **more}


def user(content):
    return {"role": "user", "content": content}


def assistant(content):
    return {"role": "assistant", "content": content}


def read(*messages, **more):
    return ANTHROPIC.read({"messages": list(messages), **more}).of_the_user()


def inject(body, *, instructions="INSTRUCTIONS", memory="MEMORY", into_system=False, position="front"):
    changed = dict(body)
    before = copy.deepcopy(body)
    placed = {"words_behind": ANTHROPIC.read(body).of_the_user().words_behind, "position": position}
    ANTHROPIC.inject(changed, Injection(instructions=instructions, memory=memory, into_system=into_system, **placed))
    assert body == before, "the client's own messages were written to"
    return changed


def test_the_system_prompt_is_not_part_of_the_conversation():
    conversation = read(*({"role": role, "content": role} for role in ("system", "user", "assistant")), system="Be.")
    assert [message.role for message in conversation.messages] == ["user", "assistant"]


def test_the_user_is_that_of_the_metadata():
    assert read(user("hi"), metadata={"user_id": "alice"}).user == "alice"
    for metadata in (None, [], "alice", {}, {"user_id": None}, {"user_id": ""}, {"user_id": 7}):
        assert read(user("hi"), metadata=metadata).user is None


def test_a_string_and_a_block_of_text_are_the_same_message():
    assert read(user("hi")).messages == read(user([text("hi", cache_control={"type": "ephemeral"})])).messages


def test_tool_calls_and_results_are_read():
    conversation = read(
        user("weather?"), assistant([THINKING, text("Let me see."), USE]), user([RESULT]), tools=[{"name": "weather"}]
    )
    assert conversation.messages == (
        Message(role="user", text="weather?"),
        Message(
            role="assistant",
            text="Let me see.",
            tool_calls=(ToolCall(id="toolu_1", name="weather", arguments='{"at":[1,2.5],"city":"Rome"}'),),
        ),
        Message(role="tool", tool_call_id="toolu_1", text="sunny"),
    )
    assert conversation.continues_turn
    assert conversation.uses_tools
    assert conversation.question == "weather?"
    assert conversation.turn == read(user("weather?")).turn, "the results belong to the turn that asked for them"


def test_each_tool_result_is_a_message_before_the_words_beside_it():
    conversation = read(
        user([text("And tomorrow?"), RESULT, {**RESULT, "tool_use_id": "toolu_2", "content": [text("a"), IMAGE]}])
    )
    assert conversation.messages == (
        Message(role="tool", tool_call_id="toolu_1", text="sunny"),
        Message(role="tool", tool_call_id="toolu_2", text="a", attachments=("image",)),
        Message(role="user", text="And tomorrow?"),
    )
    assert conversation.question == "And tomorrow?"
    assert not conversation.continues_turn


def test_memory_stands_before_the_last_user_words_and_the_rest_is_the_same_object():
    messages = [user("one"), assistant([THINKING, text("1")]), user("two")]
    tools, metadata = [{"name": "weather"}], {"user_id": "alice"}
    body = {"system": "be kind", "messages": messages, "tools": tools, "metadata": metadata}
    injected = inject(body)
    assert injected["system"] == "be kind\n\nINSTRUCTIONS"
    assert injected["messages"][0] is messages[0]
    assert injected["messages"][1] is messages[1]
    assert injected["messages"][2] == user("MEMORY\n\ntwo")
    assert injected["tools"] is tools
    assert injected["metadata"] is metadata


@pytest.mark.parametrize("system", [None, "", []])
def test_instructions_make_a_system_prompt_where_there_is_none(system):
    assert inject({"messages": [user("one")], "system": system}, memory="")["system"] == "INSTRUCTIONS"
    assert inject({"messages": [user("one")]}, memory="")["system"] == "INSTRUCTIONS"


def test_instructions_are_a_block_behind_those_of_the_system_prompt():
    blocks = [text("One."), CACHED]
    injected = inject({"messages": [user("one")], "system": blocks}, memory="")["system"]
    assert injected == [text("One."), CACHED, text("INSTRUCTIONS")]
    assert injected[1] is blocks[1], "the block with the cache marker is the client's own"


@pytest.mark.parametrize(
    "blocks", [[text("one")], [IMAGE], [DOCUMENT, text("what?")], [text("one"), text("two")]], ids=len
)
def test_blocks_pass_through_and_memory_is_a_block_of_text_before_them(blocks):
    [message] = inject({"messages": [user(blocks)]})["messages"]
    assert message == user([MEMORY, *blocks])
    assert all(passed is block for passed, block in zip(message["content"][1:], blocks, strict=True))


def test_memory_can_stand_behind_the_words_of_its_message():
    for content in ([RESULT, text("weather?")], "weather?"):
        messages = [user(content), assistant([USE]), user([RESULT])]
        opening, *rest = inject({"messages": messages}, position="end")["messages"]
        as_blocks = [text(content)] if isinstance(content, str) else content
        assert opening == user([*as_blocks, text("MEMORY")]), "the same whether the client sends a string or blocks"
        assert rest == messages[1:]


def test_beside_results_memory_stands_behind_the_last_of_them():
    for words in ([text("And?")], [text("One."), DOCUMENT]):
        [*_, last] = inject({"messages": [user("x"), assistant([USE]), user([RESULT, RESULT, *words])]})["messages"]
        assert last == user([RESULT, RESULT, MEMORY, *words])
    [last] = inject({"messages": [user([text("odd"), RESULT, text("And?")])]})["messages"]
    assert last == user([text("odd"), RESULT, MEMORY, text("And?")]), "never between a call and its result"


def test_blank_words_beside_results_do_not_open_a_turn():
    messages = [user("weather?"), assistant([USE]), user([RESULT, text(" \n")])]
    assert read(*messages).continues_turn
    assert inject({"messages": messages})["messages"] == [user("MEMORY\n\nweather?"), *messages[1:]]


def test_memory_may_go_into_the_system_prompt():
    body = {"messages": [user("one")], "system": [CACHED]}
    assert inject(body, into_system=True) == {**body, "system": [CACHED, text("INSTRUCTIONS\n\nMEMORY")]}
    assert inject(body, into_system=True, instructions="") == {**body, "system": [CACHED, text("MEMORY")]}


def event(kind, **more):
    return {"type": kind, **more}


def started(block, index=0):
    return event("content_block_start", index=index, content_block=block)


def delta(kind, index=0, **more):
    return event("content_block_delta", index=index, delta={"type": kind, **more})


BEGUN = event("message_start", message={"id": "msg_1", "role": "assistant", "content": [], "stop_reason": None})


def streamed(events):
    reader = StreamedAnswer(ANTHROPIC, {})
    for each in events:
        reader.feed(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode())
    return reader


def test_tool_calls_without_arguments_are_the_same_whole_and_streamed():
    use = {**USE, "input": {}}
    assert streamed([started(use)]).reply.messages == read(assistant([use])).messages
    assert streamed([started(USE)]).reply.messages == read(assistant([USE])).messages, "some bridges send it at once"


def test_a_text_with_citations_is_put_together_without_seams():
    cited = {"type": "char_location", "cited_text": "green"}
    pieces = ["Let me look.", "The grass is ", "green", ", and ", "the sky blue", "."]
    marked = {"green", "the sky blue"}
    whole = [text(piece, citations=[cited] if piece in marked else None) for piece in pieces]
    events = [BEGUN]
    for index, piece in enumerate(pieces):
        events += [started(text("", citations=[]), index), delta("text_delta", index, text=piece)]
        events += [delta("citations_delta", index, citation=cited)] if piece in marked else []
    [message] = read(assistant(whole)).messages
    assert message.text == "Let me look.\nThe grass is green, and the sky blue."
    assert streamed(events).reply.messages == (message,)


def test_blocks_of_the_providers_own_tools_are_named():
    search = [{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "cats"}}]
    search.append({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []})
    [message] = read(assistant([*search, text("Cats.")])).messages
    assert (message.text, message.attachments) == ("Cats.", ("server_tool_use", "web_search_tool_result"))
    events = [started(block, index) for index, block in enumerate([*search, text("Cats.")])]
    assert streamed(events).reply.messages == (message,)


def test_a_whole_answer_is_read():
    reply = ANTHROPIC.read_reply({"type": "message", "content": [THINKING, text("a"), USE], "stop_reason": "tool_use"})
    assert reply.messages == read(assistant([text("a"), USE])).messages
    assert reply.complete
    assert not ANTHROPIC.read_reply({"content": [text("a")], "stop_reason": None}).complete
    error = ANTHROPIC.read_reply({"type": "error", "error": {"type": "api_error", "message": "no"}})
    assert (error.messages, error.complete) == ((), False)


def test_a_helpers_prompt_is_known_behind_a_reminder():
    reminder, prompt = (
        "<system-reminder>\nBe brief.\n</system-reminder>",
        "Your task is to create a detailed summary of the conversation so far.",
    )
    parts = [{"type": "text", "text": text} for text in (reminder, prompt)]
    shape = ANTHROPIC.read({"messages": [{"role": "user", "content": parts}]}).shape
    assert shape.last_user == f"{prompt}\n{reminder}"
    assert helper_call(shape) == "opening"
