"""The payload of the REST document."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from recallr_litellm.reconify.payload import Interaction, build, is_reported
from recallr_litellm.reconify.person import Person
from recallr_litellm.reconify.wire import OPENING, encoded

SENT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "<memory> Hi"}], "of_tomorrow": 1}
CHOICE: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}
REPLY: dict[str, Any] = {"id": "x", "object": "chat.completion", "choices": [CHOICE], "of_tomorrow": {"a": None}}
CHAT = Interaction("acompletion", SENT, REPLY, 1_000, 2_500)


def changed(**fields: Any) -> Interaction:
    return dataclasses.replace(CHAT, **fields)


def test_everything_that_is_known_is_told() -> None:
    told = changed(
        session_id="0123456789abcdef0123456789abcdef",
        timeout_seconds=600,
        person=Person(user_id="u", is_authenticated=True),
    )
    assert build(told) == {
        "reconify": {"format": "openai", "type": "chat", "version": "1.0.0"},
        "timestamps": {"request": 1_000, "response": 2_500},
        "session": "0123456789abcdef0123456789abcdef",
        "sessionTimeout": 10,
        "user": {"userId": "u", "isAuthenticated": 1},
        "request": SENT,
        "response": REPLY,
    }


def test_what_is_not_known_is_left_out() -> None:
    payload = build(changed(person=Person(first_name="Jane")))
    assert payload is not None
    assert set(payload) == {"reconify", "timestamps", "request", "response"}


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 1), (60, 1), (61, 2), (600, 10), (601, 11)])
def test_a_session_does_not_end_there_before_it_ends_here(seconds: int, minutes: int) -> None:
    payload = build(changed(timeout_seconds=seconds))
    assert payload is not None
    assert payload["sessionTimeout"] == minutes


@pytest.mark.parametrize(
    ("call_type", "request_body", "reply", "format", "type"),
    [
        ("acompletion", SENT, REPLY, "openai", "chat"),
        ("atext_completion", {"prompt": "Hi"}, {"choices": [{"text": "Yes"}]}, "openai", "completion"),
        ("anthropic_messages", SENT, {"id": "m", "content": [{"type": "text", "text": "Yes"}]}, "anthropic", "chat"),
    ],
)
def test_formats_that_reconify_knows_are_told_as_they_are(
    call_type: str, request_body: dict[str, Any], reply: dict[str, Any], format: str, type: str
) -> None:
    payload = build(changed(call_type=call_type, request=request_body, reply=reply))
    assert payload is not None
    assert (payload["request"], payload["response"]) == (request_body, reply)
    assert (payload["reconify"]["format"], payload["reconify"]["type"]) == (format, type)


@pytest.mark.parametrize(
    ("call_type", "request_body", "reply"),
    [
        (
            "aresponses",
            {"model": "m", "input": "Hi"},
            {
                "id": "r",
                "status": "completed",
                "created_at": 1,
                "model": "m",
                "output": [{"type": "message", "content": [{"type": "output_text", "text": "Yes"}]}],
            },
        ),
        (
            "agenerate_content",
            {"model": "m", "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
            {
                "candidates": [
                    {"content": {"parts": [{"text": "Yes"}], "role": "model"}, "finishReason": "STOP", "index": 0}
                ]
            },
        ),
    ],
)
def test_other_formats_are_told_as_chat(call_type: str, request_body: dict[str, Any], reply: dict[str, Any]) -> None:
    payload = build(changed(call_type=call_type, request=request_body, reply=reply))
    assert payload is not None
    assert (payload["reconify"]["format"], payload["reconify"]["type"]) == ("openai", "chat")
    assert [(message["role"], message["content"]) for message in payload["request"]["messages"]] == [("user", "Hi")]
    [choice] = payload["response"]["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Yes", "stop")
    json.dumps(payload)


@pytest.mark.parametrize(
    "interaction",
    [
        changed(reply={}),
        changed(reply={"error": {"message": "no"}}),
        changed(call_type="aembedding"),
        changed(call_type="aresponses", request={"input": 7}, reply={"output": [{"type": "message"}]}),
        changed(call_type="agenerate_content", reply={"candidates": "odd"}),
    ],
)
def test_nothing_is_told_where_nothing_was_answered_or_nothing_can_be_read(interaction: Interaction) -> None:
    assert build(interaction) is None


def test_only_chats_and_completions_are_told() -> None:
    assert is_reported("acompletion")
    assert not is_reported("aembedding")
    assert not is_reported("aimage_generation")


def test_what_was_said_does_not_show_in_a_traceback() -> None:
    assert "Hi" not in repr(CHAT)
    assert "Yes" not in repr(CHAT)


@pytest.mark.parametrize(
    "value",
    ["Grüße", "half of \ud83d", 2**70, -(2**63) - 1, 0.1, 1e300, [None, True, {"a": []}], {"\x00": "\u2028"}],
    ids=repr,
)
def test_the_json_of_a_payload_is_exact_and_has_its_place_for_the_keys(value: Any) -> None:
    payload = {"session": "s", "reconify": {"format": "openai"}, "request": {"field": value}}
    text = encoded(payload)
    assert json.loads(text) == payload
    assert text.startswith(OPENING.encode())


def test_what_is_no_json_has_none() -> None:
    with pytest.raises(TypeError):
        encoded({"reconify": {}, "request": object()})
