"""Streamed replies of Responses, Anthropic and Gemini → the complete object. See `assemble`.

Events:
    Responses: https://platform.openai.com/docs/api-reference/responses-streaming
    Anthropic: https://docs.anthropic.com/en/docs/build-with-claude/streaming
    Gemini: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from recallr_litellm.reconify.assemble import Json, events_of, merge

_RESPONSE_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def response(events: Sequence[str]) -> Json | None:
    """Events of `/v1/responses` → the response object; None when not even its beginning has come.

    The last event has the whole object; of a stream that broke off, the first ones are filled up with what came.
    """
    begun: Json | None = None
    output: dict[int, Json] = {}
    for event in events_of(events):
        given = event.get("response")
        if isinstance(given, dict):
            begun = given
            if str(event.get("type")) in _RESPONSE_ENDS and given.get("output"):
                return given
        else:
            _add_to_output(output, event)
    if begun is None:
        return None
    return {**begun, "output": [item for _, item in sorted(output.items())]}


def _add_to_output(output: dict[int, Json], event: Json) -> None:
    kind, index = event.get("type"), event.get("output_index")
    if not isinstance(kind, str) or not isinstance(index, int):
        return
    item = event.get("item")
    if kind.startswith("response.output_item.") and isinstance(item, dict):
        output[index] = json.loads(json.dumps(item))
        return
    place = output.setdefault(index, {})
    delta = event.get("delta")
    part = event.get("part")
    if kind == "response.content_part.added" and isinstance(part, dict):
        _part(place, event).update(part)
    elif not isinstance(delta, str):
        return
    elif kind == "response.function_call_arguments.delta":
        merge(place, {"arguments": delta})
    elif kind == "response.custom_tool_call_input.delta":
        merge(place, {"input": delta})
    elif kind == "response.output_text.delta":
        merge(_part(place, event), {"type": "output_text", "text": delta})
    elif kind == "response.refusal.delta":
        merge(_part(place, event), {"type": "refusal", "refusal": delta})


def _part(item: Json, event: Json) -> Json:
    """The content part of an output item that an event is about."""
    content = item.setdefault("content", [])
    index = event.get("content_index")
    wanted = index if isinstance(index, int) and 0 <= index < 1000 else 0
    if not isinstance(content, list):
        content = item["content"] = []
    while len(content) <= wanted:
        content.append({})
    if not isinstance(content[wanted], dict):
        content[wanted] = {}
    part: Json = content[wanted]
    return part


def message(events: Sequence[str]) -> Json | None:
    """Events of `/v1/messages` → the Message; None when not even its beginning has come.

    The input of a tool call that broke off is the JSON text as far as it came.
    """
    whole: Json | None = None
    blocks: dict[int, Json] = {}
    for event in events_of(events):
        kind, index, delta = event.get("type"), event.get("index"), event.get("delta")
        if kind == "message_start" and isinstance(event.get("message"), dict):
            whole = dict(event["message"])
        elif kind == "content_block_start" and isinstance(index, int) and isinstance(event.get("content_block"), dict):
            blocks[index] = dict(event["content_block"])
        elif kind == "content_block_delta" and isinstance(index, int) and isinstance(delta, dict):
            _add_to_block(blocks.setdefault(index, {}), delta)
        elif kind == "content_block_stop" and isinstance(index, int):
            _close_block(blocks.get(index, {}))
        elif kind == "message_delta" and whole is not None:
            whole.update(delta if isinstance(delta, dict) else {})
            if isinstance(event.get("usage"), dict):
                known = whole.get("usage")
                whole["usage"] = {**(known if isinstance(known, dict) else {}), **event["usage"]}
    if whole is None:
        return None
    for block in blocks.values():  # what was not closed broke off
        if text := block.pop(_PARTIAL, ""):
            block["input"] = text
    return {**whole, "content": [block for _, block in sorted(blocks.items())]}


_PARTIAL = "partial_json"


def _add_to_block(block: Json, delta: Json) -> None:
    if delta.get("type") == "citations_delta":
        merge(block, {"citations": [delta.get("citation")]})
    else:
        merge(block, {key: value for key, value in delta.items() if key != "type"})


def _close_block(block: Json) -> None:
    text = block.pop(_PARTIAL, "")
    if text and isinstance(text, str):
        try:
            block["input"] = json.loads(text)
        except ValueError:
            block["input"] = text


def generated_content(events: Sequence[str]) -> Json | None:
    """Events of `:streamGenerateContent` → one GenerateContentResponse; None when neither candidates nor a verdict
    on the prompt have come.
    """
    whole: Json = {}
    candidates: dict[int, Json] = {}
    for event in events_of(events):
        whole.update({key: value for key, value in event.items() if key != "candidates"})
        raw_candidates = event.get("candidates")
        for raw in raw_candidates if isinstance(raw_candidates, list) else ():
            if isinstance(raw, dict):
                index = raw.get("index")
                index = index if isinstance(index, int) else 0
                _add_to_candidate(candidates.setdefault(index, {}), raw)
    if not candidates:
        return whole if "promptFeedback" in whole else None
    return {"candidates": [candidate for _, candidate in sorted(candidates.items())], **whole}


def _add_to_candidate(candidate: Json, raw: Json) -> None:
    known = candidate.get("content")
    candidate.update({key: value for key, value in raw.items() if key != "content"})
    content = raw.get("content")
    if not isinstance(content, dict):
        return
    if not isinstance(known, dict):
        known = candidate["content"] = {"parts": []}
    known.update({key: value for key, value in content.items() if key != "parts"})
    parts = content.get("parts")
    for part in parts if isinstance(parts, list) else ():
        _add_part(known["parts"], part)


def _add_part(parts: list[Any], part: Any) -> None:
    """Texts go on in the part before, if that is of the same kind; a part that holds nothing is left out."""
    last = parts[-1] if parts else None
    if (
        isinstance(part, dict)
        and isinstance(last, dict)
        and isinstance(part.get("text"), str)
        and isinstance(last.get("text"), str)
        and part.get("thought") == last.get("thought")
    ):
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    elif part != {"text": ""}:
        parts.append(part)
