"""The ids by which clients name a chat: each row of the table, and what is no id."""

from __future__ import annotations

from typing import Any

import pytest

from recallr_litellm.core.chat_ids import ChatId, chat_id

CODEX = {"user-agent": "codex_cli_rs/0.50 (Debian)"}
SESSION = "0b9a4c7e-2222-3333-4444-555555555555"

NAMED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "LiteLLM": ({"x-litellm-session-id": "a"}, {}),
    "Open WebUI": ({"x-openwebui-chat-id": "a"}, {}),
    "Open WebUI, a channel": ({"x-openwebui-chat-id": "channel:a"}, {}),
    "Claude Code": ({"x-claude-code-session-id": "a"}, {}),
    "Claude Code, old": ({}, {"metadata": {"user_id": f"user_5e_account_{SESSION[::-1]}_session_{SESSION}"}}),
    "Claude Code, no account": ({}, {"metadata": {"user_id": f"user_5e_account__session_{SESSION}"}}),
    "Claude Code, text": ({}, {"metadata": {"user_id": f'{{"device_id": "5e", "session_id": "{SESSION}"}}'}}),
    "Claude Code, object": ({}, {"metadata": {"user_id": {"session_id": SESSION}}}),
    "Kilo, old": ({"x-kilocode-taskid": "a"}, {}),
    "Roo": ({"x-roo-task-id": "a"}, {}),
    "Roo, as OpenAI": ({"user-agent": "RooCode/3.30", "session_id": "a"}, {}),
    "Cline": ({"x-task-id": "a"}, {}),
    "opencode": ({"x-session-id": "a", "x-session-affinity": "a"}, {}),
    "Kilo": ({"x-session-affinity": "a"}, {}),
    "opencode, cache": ({"user-agent": "opencode/1.0"}, {"prompt_cache_key": "a"}),
    "Codex": ({**CODEX, "session-id": "a", "thread-id": "b"}, {}),
    "Codex, thread": ({**CODEX, "thread-id": "a"}, {}),
    "Codex, old": ({**CODEX, "session_id": "a"}, {}),
    "Codex, older": ({**CODEX, "conversation_id": "a"}, {}),
    "Codex, cache": (CODEX, {"prompt_cache_key": "a"}),
    "Copilot CLI": ({"x-client-session-id": "a"}, {}),
    "Cursor": ({}, {"metadata": {"cursorConversationId": "a"}}),
    "Responses": ({}, {"conversation": "a"}),
    "Responses, object": ({}, {"conversation": {"id": "a"}, "previous_response_id": None}),
    "a number": ({}, {"conversation": 7}),
}


@pytest.mark.parametrize(("headers", "body"), NAMED.values(), ids=NAMED)
def test_a_client_names_its_chat(headers: dict[str, str], body: dict[str, Any]) -> None:
    found = chat_id(headers, body)
    assert found is not None
    assert not found.part
    assert found.value in {"a", "channel:a", SESSION, "7"}


NOT_NAMED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "an empty header": ({"x-openwebui-chat-id": " "}, {}),
    "a temporary chat": ({"x-openwebui-chat-id": "local:Xy12"}, {}),
    "a template": ({"x-session-id": "{{CHAT_ID}}"}, {}),
    "no value": ({"x-session-id": "undefined"}, {"conversation": None}),
    "a chat without an id yet": ({"x-session-id": "new"}, {}),
    "a text": ({"x-session-id": "x" * 5000}, {}),
    "another client's session-id": ({"user-agent": "python-httpx/1", "session-id": "a", "thread-id": "a"}, {}),
    "a cache": ({"user-agent": "OpenAI/Python"}, {"prompt_cache_key": "a"}),
    "a person": ({}, {"metadata": {"user_id": "ana"}, "user": "ana", "safety_identifier": "ana"}),
    "broken JSON": ({}, {"metadata": {"user_id": '{"session_id": '}}),
    "odd types": ({}, {"metadata": ["a"], "conversation": ["a"], "previous_response_id": {"id": "a"}}),
    "free pairs": ({}, {"metadata": {"topic": "cats"}}),
}


@pytest.mark.parametrize(("headers", "body"), NOT_NAMED.values(), ids=NOT_NAMED)
def test_what_names_no_chat(headers: dict[str, str], body: dict[str, Any]) -> None:
    assert chat_id(headers, body) is None


def test_an_answer_and_an_interaction_are_parts_of_a_chat() -> None:
    assert chat_id({}, {"previous_response_id": "resp_1"}) == ChatId("answer:resp_1", part=True)
    assert chat_id({"x-interaction-id": "i"}, {}) == ChatId("i", part=True, opens_chat=True)


def test_the_first_row_that_is_there_counts() -> None:
    headers = {"x-task-id": "c", "x-litellm-session-id": "a", "x-openwebui-chat-id": "b"}
    body = {"conversation": "d", "previous_response_id": "e"}
    assert chat_id(headers, body, litellm_session="f") == ChatId("a")
    assert chat_id({}, body, litellm_session="f") == ChatId("f")
    assert chat_id({}, body) == ChatId("d")
