"""OpenAI Chat Completions."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from tests.support.script import Answer, last_user_text
from tests.support.wires.base import Event, Wire, data_event, pieces_of, said_back


class Chat(Wire):
    """See `Wire`."""

    paths: tuple[str, ...] = ("/v1/chat/completions",)

    def user_text(self, body: dict[str, Any]) -> str:
        return last_user_text(body)

    def whole(self, answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
        return _completion(answer, body, number)

    def events(self, answer: Answer, body: dict[str, Any], number: int) -> Iterator[Event]:
        for chunk, is_content in _chunks(answer, body, number):
            yield data_event(chunk, content=is_content)
        yield data_event("[DONE]")


def _completion(answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
    choices = []
    for index, text in enumerate(_texts(answer, body)):
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        if answer.tool_calls:
            message["tool_calls"] = _tool_calls(answer, number, index)
        choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)})
    return {**_head("chat.completion", body, number), "choices": choices, "usage": _usage(answer, body)}


def _chunks(answer: Answer, body: dict[str, Any], number: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """The chunks of a streamed chat completion, each with True if it brings content (text or a tool call).

    Per choice a chunk with the role, then the content, the choices taking turns; per choice a
    chunk with the finish reason; last the usage, if the request asked for it.
    """
    head = _head("chat.completion.chunk", body, number)
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    if wants_usage:
        head["usage"] = None

    def chunk(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    texts = _texts(answer, body)
    for index, text in enumerate(texts):
        content = None if text is None else ""
        yield chunk(index, {"role": "assistant", "content": content, "refusal": None}), False
    pieces = [list(pieces_of(text or "", answer.chunks)) for text in texts]
    for turn in range(max(len(of_choice) for of_choice in pieces)):
        for index, of_choice in enumerate(pieces):
            if turn < len(of_choice):
                yield chunk(index, {"content": of_choice[turn]}), True
    for index in range(len(texts)):
        for position, call in enumerate(_tool_calls(answer, number, index)):
            arguments = call["function"]["arguments"]
            call["function"]["arguments"] = ""
            yield chunk(index, {"tool_calls": [{"index": position, **call}]}), True
            for part in pieces_of(arguments, 2):
                yield chunk(index, {"tool_calls": [{"index": position, "function": {"arguments": part}}]}), True
    for index in range(len(texts)):
        yield chunk(index, {}, _finish_reason(answer)), False
    if wants_usage:
        yield {**head, "choices": [], "usage": _usage(answer, body)}, False


def _usage(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Token counts: words, so that they are the same each time and grow with what is injected."""
    prompt = len(re.findall(r"\w+", str(body.get("messages", ""))))
    answered = sum(len((text or "").split()) for text in _texts(answer, body))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": prompt + answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _head(kind: str, body: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number:029d}",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
        "service_tier": "default",
        "system_fingerprint": "fp_standin",
    }


def _texts(answer: Answer, body: dict[str, Any]) -> list[str | None]:
    """One text per choice; None where a tool call takes its place."""
    if answer.choices:
        return list(answer.choices)
    count = body.get("n") or 1
    if answer.text is None and answer.tool_calls:
        return [None] * count
    text = answer.text
    if text is None:
        text = said_back(last_user_text(body))
    return [text if index == 0 else f"{text} ({index + 1})" for index in range(count)]


def _tool_calls(answer: Answer, number: int, choice: int) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{number:04d}{choice:02d}{position:02d}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for position, call in enumerate(answer.tool_calls)
    ]


def _finish_reason(answer: Answer) -> str:
    return answer.finish_reason or ("tool_calls" if answer.tool_calls else "stop")
