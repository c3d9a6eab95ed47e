"""Streamed replies → the complete object that the same call would have returned unstreamed.

One function per wire format; all of them take the `data` of the stream's server-sent events in order, leave out what
is no JSON object, keep fields they do not know, and never raise on odd input. A stream that broke off gives what came,
with no finish reason where none came. OpenAI's two formats are here, the others in `assemble_others`.

Chat chunks: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recallr_litellm.json_text import parsed

Json = dict[str, Any]

_SET_ONCE = frozenset({"id", "type", "role", "name", "index", "object", "model", "call_id", "format", "finish_reason"})
"""String fields of a delta that say what something is: repeated, not continued."""


def events_of(events: Sequence[str]) -> Iterator[Json]:
    """The events that are JSON objects."""
    for data in events:
        try:
            event = parsed(data)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def chat_completion(events: Sequence[str]) -> Json | None:
    """Chunks of `/v1/chat/completions` → `chat.completion`; None when no choice has come."""
    whole = _choices_together(events, "chat.completion")
    if whole is None:
        return None
    whole["choices"] = [_with_message(choice) for choice in whole["choices"]]
    return whole


def text_completion(events: Sequence[str]) -> Json | None:
    """Chunks of `/v1/completions` → `text_completion`; None when no choice has come."""
    whole = _choices_together(events, "text_completion")
    if whole is None:
        return None
    whole["choices"] = [{"text": "", "logprobs": None, **choice} for choice in whole["choices"]]
    return whole


def merge(whole: Json, delta: Mapping[str, Any]) -> None:
    """Add a delta to what came before it, as OpenAI's SDK does: texts and lists go on, everything else is replaced."""
    for key, value in delta.items():
        known = whole.get(key)
        if value is None:
            whole.setdefault(key, None)
        elif isinstance(known, str) and isinstance(value, str):
            whole[key] = (value or known) if key in _SET_ONCE else known + value
        elif isinstance(known, dict) and isinstance(value, dict):
            merge(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            _extend(known, value)
        else:
            whole[key] = _fresh(value)


def _fresh(value: Any) -> Any:
    """A value that can be added to: several entries of its first delta may already be parts of one."""
    if isinstance(value, dict):
        begun: Json = {}
        merge(begun, value)
        return begun
    if isinstance(value, list):
        items: list[Any] = []
        _extend(items, value)
        return items
    return value


def _extend(known: list[Any], more: list[Any]) -> None:
    for item in more:
        place = _continued(known, item)
        if place is None:
            known.append(_fresh(item))
        else:
            merge(place, item)


def _continued(known: list[Any], item: Any) -> Json | None:
    """The entry that an entry of a later delta goes on with; None: it is a new one."""
    if not isinstance(item, dict):
        return None
    if isinstance(item.get("index"), int):
        places = (place for place in known if isinstance(place, dict) and place.get("index") == item["index"])
        return next(places, None)
    last = known[-1] if known and isinstance(known[-1], dict) else None
    if last is None:
        return None
    if item.get("type") == "thinking" == last.get("type"):  # LiteLLM streams Anthropic's blocks in pieces, unnumbered
        return None if last.get("signature") else last
    if "function" in item and "function" in last:  # tool calls without numbers: one with an id is a new one
        return None if item.get("id") else last
    return None


def _choices_together(events: Sequence[str], kind: str) -> Json | None:
    """The envelope of the chunks, each choice with its deltas merged, in the order of their index."""
    head: Json = {}
    choices: dict[int, Json] = {}
    for chunk in events_of(events):
        for key, value in chunk.items():
            if key not in ("choices", "object") and (value is not None or key not in head):
                head[key] = value if key not in ("id", "created") else head.get(key, value)
        raw_choices = chunk.get("choices")
        for raw in raw_choices if isinstance(raw_choices, list) else ():
            if isinstance(raw, dict):
                index = raw.get("index")
                index = index if isinstance(index, int) else 0
                merge(choices.setdefault(index, {"index": index}), raw)
    if not choices:
        return None
    if head.get("usage", 0) is None:  # the chunks of a stream whose last one has the usage all carry the field
        del head["usage"]
    # Some versions of LiteLLM send `[DONE]` after an error too.
    ended = not head.get("error") and any(data.strip() == "[DONE]" for data in events)
    reasons = [choice["finish_reason"] for choice in choices.values() if choice.get("finish_reason")]
    for choice in choices.values():
        # Of a stream with several choices LiteLLM passes one finish reason on: it is that of the whole stream.
        choice["finish_reason"] = choice.get("finish_reason") or (reasons[-1] if ended and reasons else None)
    return {**head, "object": kind, "choices": [choice for _, choice in sorted(choices.items())]}


def _with_message(choice: Json) -> Json:
    """A choice whose deltas are its message."""
    deltas = choice.pop("delta", None)
    message: Json = {"role": "assistant", "content": None, **(deltas if isinstance(deltas, dict) else {})}
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        message["tool_calls"] = [
            {key: value for key, value in call.items() if key != "index"} if isinstance(call, dict) else call
            for call in calls
        ]
        message["content"] = message["content"] or None
    return {**choice, "message": message}
