"""The payload of the REST document."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from recallr_litellm.reconify.payload import Interaction, build
from recallr_litellm.reconify.wire import OPENING, encoded

SENT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "<memory> Hi"}], "of_tomorrow": 1}
CHOICE: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}
REPLY: dict[str, Any] = {"id": "x", "object": "chat.completion", "choices": [CHOICE], "of_tomorrow": {"a": None}}
CHAT = Interaction("acompletion", SENT, REPLY, 1_000, 2_500)


def changed(**fields: Any) -> Interaction:
    return dataclasses.replace(CHAT, **fields)


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
