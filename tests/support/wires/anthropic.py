"""Anthropic Messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.support.script import Answer, text_of
from tests.support.wires.base import Event, Wire, data_event, pieces_of, said_back

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Anthropic(Wire):
    """See `Wire`. A request with `thinking` enabled is answered with a thinking block first.

    `Answer(finish_reason="error")` ends a stream with an `error` event in place of the stop reason.
    """

    paths: tuple[str, ...] = ("/v1/messages",)

    def user_text(self, body: dict[str, Any]) -> str:
        texts = [text_of(message) for message in body.get("messages", ()) if message["role"] == "user"]
        return next((text for text in reversed(texts) if text), "")  # a message of tool results has none

    def error(self, answer: Answer) -> dict[str, Any]:
        return _error(answer, _ERRORS.get(answer.status, "api_error"))

    def whole(self, answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
        return {
            **_head(body, number),
            "content": _content(answer, body, self.user_text(body), number),
            "stop_reason": _stop_reason(answer),
            "usage": _usage(answer, body),
        }

    def events(self, answer: Answer, body: dict[str, Any], number: int) -> Iterator[Event]:
        usage = _usage(answer, body)
        begun = {**_head(body, number), "content": [], "usage": {**usage, "output_tokens": 1}}
        yield _event("message_start", message=begun)
        for index, block in enumerate(_content(answer, body, self.user_text(body), number)):
            start, deltas = _parts(block, answer.chunks)
            yield _event("content_block_start", content=block["type"] == "tool_use", index=index, content_block=start)
            if index == 0:
                yield _event("ping")
            for delta in deltas:
                yield _event("content_block_delta", content=_is_content(delta), index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        if answer.finish_reason == "error":
            yield data_event(_error(answer, "overloaded_error"), name="error")
            return
        stop = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
        yield _event("message_delta", delta=stop, usage={"output_tokens": usage["output_tokens"]})
        yield _event("message_stop")


def _event(name: str, *, content: bool = False, **fields: Any) -> Event:
    return data_event({"type": name, **fields}, name=name, content=content)


def _error(answer: Answer, kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": answer.message}}


def _head(body: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"msg_{number:024d}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _content(answer: Answer, body: dict[str, Any], user_text: str, number: int) -> list[dict[str, Any]]:
    """The blocks of a whole answer."""
    blocks: list[dict[str, Any]] = []
    if (body.get("thinking") or {}).get("type") == "enabled":
        blocks.append({"type": "thinking", "thinking": "Let me think.", "signature": f"c2lnbmF0dXJl{number:04d}"})
    if answer.text is not None or not answer.tool_calls:
        blocks.append({"type": "text", "text": said_back(user_text) if answer.text is None else answer.text})
    for position, call in enumerate(answer.tool_calls):
        id = call.id or f"toolu_{number:04d}{position:02d}"
        blocks.append({"type": "tool_use", "id": id, "name": call.name, "input": json.loads(call.arguments)})
    return blocks


def _parts(block: dict[str, Any], chunks: int | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins in a stream, and what then follows."""
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces_of(block["text"], chunks)]
        return {"type": "text", "text": ""}, deltas
    if block["type"] == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces_of(block["thinking"], 2)]
        signature = {"type": "signature_delta", "signature": block["signature"]}
        return {"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signature]
    pieces = ["", *pieces_of(json.dumps(block["input"], ensure_ascii=False), 3)]  # the first is empty at Anthropic's
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def count_tokens(body: dict[str, Any]) -> dict[str, Any]:
    """The answer of `/v1/messages/count_tokens`."""
    return {"input_tokens": _words(body)}


def _words(body: dict[str, Any]) -> int:
    """Tokens of a request: words, so that they are the same each time and grow with what is injected."""
    return len(re.findall(r"\w+", str(body.get("messages", "")) + str(body.get("system", ""))))


def _is_content(delta: dict[str, Any]) -> bool:
    return delta["type"] in ("text_delta", "input_json_delta")


def _usage(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "input_tokens": _words(body),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": max(1, len((answer.text or "").split())),
        "service_tier": "standard",
    }


def _stop_reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_use" if answer.tool_calls else "end_turn")
