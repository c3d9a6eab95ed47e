"""Responses and Gemini as chat: LiteLLM's own translation, with what it loses put back.

These are the tests that say when an upgrade of LiteLLM has changed the code that the bridges call.
"""

from __future__ import annotations

from typing import Any

from recallr_litellm.litellm_host import bridges

USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A response object."""
    given = {"id": "resp_1", "object": "response", "created_at": 5, "status": "completed", "model": "m"}
    return {**given, "output": list(output), "error": None, "usage": USAGE, **fields}


def said(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": list(parts),
        **fields,
    }


def text(value: str) -> dict[str, Any]:
    return {"type": "output_text", "text": value, "annotations": []}


def test_a_responses_request_becomes_a_chat_request() -> None:
    body = {
        "model": "m",
        "instructions": "Be kind.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "store": False,
        "of_tomorrow": 1,
    }
    bridged = bridges.responses_request(body)
    system, user, call, result = bridged["messages"]
    assert system == {"role": "system", "content": "Be kind."}
    assert user == {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    assert call["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert result == {"role": "tool", "content": "sunny", "tool_call_id": "c1"}
    assert bridged["tools"][0]["function"]["name"] == "f"
    assert bridged["max_tokens"] == 9
    assert bridged["metadata"] == {"a": "b"}
    assert (bridged["store"], bridged["of_tomorrow"]) == (False, 1), "what chat does not know is kept"
    assert "input" not in bridged


def test_a_response_becomes_a_chat_completion() -> None:
    reasoning = {"id": "rs", "type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}]}
    call = {"id": "fc", "type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"}
    bridged = bridges.responses_reply(response(reasoning, said(text("Yes")), call, service_tier="flex"))
    assert bridged is not None
    [choice] = bridged["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Yes"
    assert choice["message"]["reasoning_content"] == "So."
    assert [(one["id"], one["function"]["name"]) for one in choice["message"]["tool_calls"]] == [("c1", "f")]
    assert (bridged["object"], bridged["created"], bridged["model"]) == ("chat.completion", 5, "m")
    assert bridged["usage"]["total_tokens"] == 3
    assert bridged["service_tier"] == "flex"


def test_a_refusal_is_kept() -> None:
    bridged = bridges.responses_reply(response(said({"type": "refusal", "refusal": "I cannot."})))
    assert bridged is not None
    assert bridged["choices"][0]["message"]["refusal"] == "I cannot."


GEMINI = {
    "model": "gemini",
    "contents": [
        {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"r": "sun"}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "One."}, {"text": "Two."}]},
    "generationConfig": {"temperature": 0.5, "topK": 3, "candidateCount": 2},
    "safetySettings": [{"category": "x"}],
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}]}],
    "stream": True,
}


def test_a_gemini_request_becomes_a_chat_request() -> None:
    bridged = bridges.gemini_request(GEMINI)
    system, user, call, result = bridged["messages"]
    assert system["content"] == "One.\n\nTwo.", "all parts of the system instruction, not the first only"
    text, image = user["content"]
    assert text == {"type": "text", "text": "Hi"}
    shown = {"url": "data:image/png;base64,AAAA"}
    assert image["image_url"] in (shown, {**shown, "format": "image/png"}), "some versions of LiteLLM name the format"
    assert call["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert (result["role"], result["content"]) == ("tool", '{"r": "sun"}')
    assert (bridged["temperature"], bridged["n"], bridged["stream"]) == (0.5, 2, True)
    assert bridged["tools"][0]["function"]["name"] == "f"
    assert bridged["generationConfig"] == {"topK": 3}, "what chat has no name for is kept under its own"
    assert bridged["safetySettings"] == [{"category": "x"}]
    assert "contents" not in bridged


def candidate(index: int, *parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"content": {"parts": list(parts), "role": "model"}, "index": index, **fields}


def test_a_gemini_reply_becomes_a_chat_completion() -> None:
    reply = {
        "candidates": [
            candidate(0, {"text": "Yes"}, finishReason="STOP"),
            candidate(1, {"functionCall": {"name": "f", "args": {"a": 1}}}, finishReason="STOP"),
        ],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 1, "totalTokenCount": 8},
        "modelVersion": "gemini-2",
        "responseId": "r1",
    }
    bridged = bridges.gemini_reply(reply, model="asked-for", created=5)
    assert bridged is not None
    first, second = bridged["choices"]
    assert (first["message"]["content"], first["finish_reason"]) == ("Yes", "stop")
    assert second["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert second["finish_reason"] == "tool_calls"
    assert (bridged["id"], bridged["created"], bridged["model"]) == ("r1", 5, "gemini-2")
    assert bridged["usage"]["total_tokens"] == 8


def test_a_gemini_reply_that_broke_off_has_no_finish_reason() -> None:
    reply = {"candidates": [candidate(0, {"text": "Y"}), candidate(1, {"text": "No"}, finishReason="MAX_TOKENS")]}
    bridged = bridges.gemini_reply(reply, model="asked-for", created=5)
    assert bridged is not None
    assert [choice["finish_reason"] for choice in bridged["choices"]] == [None, "length"]
    assert bridged["model"] == "asked-for"
    assert "usage" not in bridged


def test_a_blocked_prompt_is_filtered_content() -> None:
    reply = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}}
    bridged = bridges.gemini_reply(reply, model="m", created=5)
    assert bridged is not None
    assert [choice["finish_reason"] for choice in bridged["choices"]] == ["content_filter"]
