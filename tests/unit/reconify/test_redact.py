"""`RECONIFY_REDACT` reaches every text and nothing that is none; what cannot be redacted is not sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.errors import ConfigurationError, RedactionFailed
from recallr_litellm.reconify.redact import REDACTED, load_redaction, redacted

SECRET = "hunter2"
HIDE = load_redaction(json.dumps([SECRET]))


def both(request: Any, response: Any | None = None) -> tuple[Any, Any]:
    """The request and the response of a payload, redacted."""
    result = redacted({"request": request, "response": response or {}}, HIDE)
    return result["request"], result["response"]


TEXTS: dict[str, Any] = {
    "content": {"messages": [{"role": "user", "content": f"it is {SECRET}"}]},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": SECRET}]}]},
    "refusal and reasoning": {"choices": [{"message": {"refusal": SECRET, "reasoning_content": SECRET}}]},
    "arguments": {"choices": [{"message": {"tool_calls": [{"function": {"arguments": f'{{"a": "{SECRET}"}}'}}]}}]},
    "escaped arguments": {"tool_calls": [{"function": {"arguments": '{"a": "\\u0068unter2"}'}}]},
    "results": {"messages": [{"role": "tool", "tool_call_id": "c", "content": SECRET}]},
    "escaped results": {"messages": [{"role": "tool", "content": '["\\u0068unter2"]'}]},
    "prompts": {"prompt": [f"my {SECRET}", SECRET]},
    "instructions": {"instructions": SECRET},
    "system": {"system": [{"type": "text", "text": SECRET, "cache_control": {"type": "ephemeral"}}]},
    "input of a tool": {"content": [{"type": "tool_use", "input": {SECRET: 1, "id": SECRET, "a": [SECRET]}}]},
    "plain text document": {"source": {"type": "text", "media_type": "text/plain", "data": SECRET}},
    "metadata": {"metadata": {"note": SECRET}},
    "name of a person": {"messages": [{"role": "user", "name": SECRET, "content": ""}]},
    "description of a tool": {"tools": [{"function": {"name": "f", "description": SECRET}}]},
    "link": {"content": [{"image_url": {"url": f"https://x.example/{SECRET}"}}]},
    "field of tomorrow": {"choices": [{"message": {"new": {"deep": [SECRET]}}}]},
    "tokens": {"choices": [{"logprobs": {"content": [{"token": SECRET, "bytes": [104]}]}}]},
}


@pytest.mark.parametrize("value", TEXTS.values(), ids=TEXTS)
def test_texts_are_redacted(value: Any) -> None:
    for told in both(value, value):
        assert SECRET not in json.dumps(told), "this text must not reach analytics"
        assert "unter2" not in json.dumps(told)


NO_TEXTS: dict[str, Any] = {
    "ids": {"id": SECRET, "tool_call_id": SECRET, "responseId": SECRET, "previous_response_id": SECRET},
    "model": {"model": SECRET, "modelVersion": 1, "object": SECRET, "system_fingerprint": SECRET},
    "role and type": {"messages": [{"role": SECRET, "type": SECRET, "content": "x"}]},
    "user": {"user": SECRET},
    "id in metadata": {"metadata": {"user_id": SECRET}},
    "name of a tool": {"tools": [{"type": "function", "function": {"name": SECRET}}], "tool_choice": SECRET},
    "name of a called tool": {"tool_calls": [{"function": {"name": SECRET, "arguments": "{}"}}]},
    "schema": {"tools": [{"parameters": {"properties": {SECRET: {"enum": [SECRET]}}, "required": [SECRET]}}]},
    "image": {"content": [{"image_url": {"url": f"data:image/png;base64,{SECRET}"}}]},
    "bytes": {"source": {"type": "base64", "data": SECRET}},
    "signature": {"content": [{"type": "thinking", "thinking": "x", "signature": SECRET}]},
}


@pytest.mark.parametrize("value", NO_TEXTS.values(), ids=NO_TEXTS)
def test_what_is_no_text_is_left_alone(value: Any) -> None:
    assert both(value, value) == (value, value)


def test_arguments_stay_json_and_numbers_in_them_are_reached() -> None:
    hide = load_redaction(json.dumps(["[0-9]{4}"]))
    call = {"function": {"name": "pay", "arguments": '{"pin": "1234", "sum": 5}'}}
    request = {"tool_calls": [call], "content": [{"type": "tool_use", "input": {"pin": 1234, "sum": 5}}]}
    told = redacted({"request": request, "response": {}}, hide)["request"]
    assert json.loads(told["tool_calls"][0]["function"]["arguments"]) == {"pin": REDACTED, "sum": 5}
    assert told["content"][0]["input"] == {"pin": REDACTED, "sum": 5}


def test_the_rest_of_the_payload_is_left_alone() -> None:
    payload = {"session": SECRET, "user": {"userId": SECRET, "firstName": SECRET}, "request": {}, "response": {}}
    assert redacted(payload, HIDE) == payload


def test_a_callable_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "our_redaction.py").write_text(
        "class P:\n    @staticmethod\n    def hide(text):\n        return text.upper()"
    )
    monkeypatch.syspath_prepend(tmp_path)
    hide = load_redaction("our_redaction:P.hide")
    payload = {"request": {"prompt": "quiet"}, "response": {"choices": [{"text": "so"}]}}
    assert redacted(payload, hide) == {"request": {"prompt": "QUIET"}, "response": {"choices": [{"text": "SO"}]}}


def test_a_callable_that_fails_stops_the_payload_and_says_nothing_of_the_text() -> None:
    def fails(text: str) -> str:
        raise ValueError(text)

    for hide in (fails, lambda text: None):
        with pytest.raises(RedactionFailed) as raised:
            redacted({"request": {"prompt": SECRET}, "response": {}}, hide)  # type: ignore[arg-type]
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "setting",
    ["", "no_colon", "json:", ":x", "no.such.module:x", "json:no_such_name", "json:__doc__", "[", "[]", "[1]", '["("]'],
)
def test_a_wrong_setting_is_named(setting: str) -> None:
    with pytest.raises(ConfigurationError, match="RECONIFY_REDACT"):
        load_redaction(setting)
