"""OpenAI Responses."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

from tests.support.script import Answer
from tests.support.wires.base import Event, Wire, data_event, pieces_of, said_back


class Responses(Wire):
    """See `Wire`. A `finish_reason` of `length` makes an incomplete response."""

    paths: tuple[str, ...] = ("/v1/responses",)

    def user_text(self, body: dict[str, Any]) -> str:
        return user_text(body)

    def whole(self, answer: Answer, body: dict[str, Any], number: int) -> dict[str, Any]:
        return _response(answer, body, number, _output(answer, body, number), _status(answer))

    def events(self, answer: Answer, body: dict[str, Any], number: int) -> Iterator[Event]:
        for sequence_number, (event, is_content) in enumerate(_events(answer, body, number)):
            numbered = {**event, "sequence_number": sequence_number}
            yield data_event(numbered, content=is_content, name=event["type"])


def user_text(body: dict[str, Any]) -> str:
    """Text of the last user message of a responses request, "" if it has none."""
    given = body.get("input", "")
    if isinstance(given, str):
        return given
    contents = [item["content"] for item in given if isinstance(item, dict) and item.get("role") == "user"]
    if not contents or isinstance(contents[-1], str):
        return contents[-1] if contents else ""
    return "\n".join(part["text"] for part in contents[-1] if part.get("type") == "input_text")


def _events(answer: Answer, body: dict[str, Any], number: int) -> Iterator[tuple[dict[str, Any], bool]]:
    """All events of a streamed response, each with True if it brings content (text or a tool call)."""
    output = _output(answer, body, number)
    begun = _response(answer, body, number, [], "in_progress")
    yield {"type": "response.created", "response": begun}, False
    yield {"type": "response.in_progress", "response": begun}, False
    for index, item in enumerate(output):
        yield from _item_events(answer, index, item)
    status = _status(answer)
    yield {"type": f"response.{status}", "response": _response(answer, body, number, output, status)}, False


def _item_events(answer: Answer, index: int, item: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    place: dict[str, Any] = {"item_id": item["id"], "output_index": index}
    if item["type"] == "message":
        yield _item_event("added", index, {**item, "status": "in_progress", "content": []}), False
        place["content_index"] = 0
        [part] = item["content"]
        yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}, False
        for piece in pieces_of(part["text"], answer.chunks):
            yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}, True
        yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}, False
        yield {"type": "response.content_part.done", **place, "part": part}, False
    else:
        arguments = item["arguments"]
        yield _item_event("added", index, {**item, "status": "in_progress", "arguments": ""}), True
        for piece in pieces_of(arguments, 2):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}, True
        done = {"type": "response.function_call_arguments.done", **place, "name": item["name"], "arguments": arguments}
        yield done, False
    yield _item_event("done", index, item), False


def _item_event(what: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"response.output_item.{what}", "output_index": index, "item": item}


def _output(answer: Answer, body: dict[str, Any], number: int) -> list[dict[str, Any]]:
    text = answer.text
    if text is None and not answer.tool_calls:
        text = said_back(user_text(body))
    output: list[dict[str, Any]] = []
    if text is not None:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        output.append({"id": f"msg_{number:032x}", "type": "message", "role": "assistant", "content": [part]})
    for position, call in enumerate(answer.tool_calls):
        output.append(
            {
                "id": f"fc_{number:030x}{position:02x}",
                "type": "function_call",
                "call_id": call.id or f"call_{number:04d}{position:02d}",
                "name": call.name,
                "arguments": call.arguments,
            }
        )
    return [{**item, "status": _status(answer)} for item in output]


def _status(answer: Answer) -> str:
    return "incomplete" if answer.finish_reason == "length" else "completed"


def _response(
    answer: Answer, body: dict[str, Any], number: int, output: list[dict[str, Any]], status: str
) -> dict[str, Any]:
    """A response object. As the provider does, it says back the settings of the request, `instructions` among them."""
    return {
        "id": f"resp_{number:032x}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if status == "in_progress" else _usage(answer, body),
        "user": body.get("user"),
    }


def _usage(answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Token counts: words, so that they are the same each time and grow with what is injected."""
    prompt = len(re.findall(r"\w+", f"{body.get('instructions') or ''} {body.get('input', '')}"))
    answered = len((answer.text or "").split())
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + answered,
    }
