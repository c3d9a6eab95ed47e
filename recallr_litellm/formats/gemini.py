"""Gemini: `/v1beta/models/{model}:generateContent` and `:streamGenerateContent`.

Reference: https://ai.google.dev/api/generate-content and https://ai.google.dev/api/caching#Content.
Google reads names in camel case and in snake case, and one object where an array of objects belongs; so do we.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.formats.base import (
    CACHED_CONTENT,
    NOT_READ,
    Body,
    Conversation,
    Injection,
    Reply,
    event_of,
    items,
    reply_of,
    token_limit,
    without_empty,
)
from recallr_litellm.formats.deltas import GrowingText, Json, finished, index_of

_NO_CONTENT = frozenset({"thought", "thoughtSignature", "thought_signature", "videoMetadata", "video_metadata"})
"""What a part may hold besides its content."""

_TEXT_FIELDS = frozenset({"text", "thought", "thoughtSignature", "thought_signature"})
"""Fields of a part that is nothing but text."""


_NOT_TEXT = frozenset({"AUDIO", "IMAGE", "VIDEO"})


class Gemini:
    """The generateContent format."""

    call_types = frozenset({"agenerate_content", "agenerate_content_stream"})

    def read(self, body: Mapping[str, Any]) -> Conversation:
        """What the client sent; contents of unknown roles are left out. There is no user id in the body."""
        return Conversation(
            messages=without_empty(_messages(body.get("contents"))),
            uses_tools=bool(body.get("tools")),
            system=_system(_get(body, "systemInstruction")),
            max_tokens=token_limit(_get(_config(body), "maxOutputTokens")),
            no_place=_no_place(body),
        )

    def inject(self, body: Body, added: Injection) -> None:
        if "contents" not in body:
            return
        if added.beside_words:
            body["contents"] = _with_memory(body["contents"], added.memory, added.words_behind)
        if added.to_system:
            # LiteLLM reads the first of the two that holds something
            key = "systemInstruction" if body.get("systemInstruction") else "system_instruction"
            key = key if body.get(key) else "systemInstruction"
            body[key] = _with_instructions(body.get(key), added.to_system)

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """Every candidate of a `GenerateContentResponse`."""
        candidates = list(items(body.get("candidates")))
        contents = (candidate.get("content") for candidate in candidates)
        parts = (_parts(content) if isinstance(content, dict) else () for content in contents)
        return reply_of(
            [_Said(each).by_model() for each in parts],
            complete=all(_get(candidate, "finishReason") for candidate in candidates),
        )

    def stream_reader(self, body: Mapping[str, Any]) -> GeminiStream:
        return GeminiStream()


GEMINI = Gemini()


class _Said:
    """What parts say."""

    def __init__(self, parts: Iterable[Mapping[str, Any]]) -> None:
        self.texts: list[str] = []
        self.calls: list[ToolCall] = []
        self.others: list[str] = []
        for part in parts:
            if part.get("thought"):
                continue
            call = _get(part, "functionCall")
            if isinstance(call, dict):
                self.calls.append(_tool_call(call))
            elif isinstance(part.get("text"), str):
                self.texts.append(part["text"])
            elif kind := next((name for name in part if name not in _NO_CONTENT), None):
                self.others.append(kind)

    def by_model(self) -> Message:
        """The model's text is cut anywhere."""
        return Message(
            role="assistant",
            text="".join(self.texts),
            tool_calls=tuple(self.calls),
            attachments=tuple(self.others),
        )

    def by_user(self) -> Message:
        """Each of a user's text parts is a text of its own."""
        parts = tuple(self.texts) if len(self.texts) > 1 else ()
        return Message(role="user", text="\n".join(self.texts), parts=parts, attachments=tuple(self.others))


class GeminiStream:
    """Puts the events of a stream, each a `GenerateContentResponse`, together."""

    complete = False
    """Never before the end of the body: some models and servers give a finish reason with every chunk."""

    def __init__(self) -> None:
        self._head: Json = {}
        self._candidates: dict[int, Json] = {}
        self._failed = False

    def feed(self, data: str) -> None:
        event = event_of(data)
        self._failed = self._failed or bool(event.get("error"))
        self._head.update({key: value for key, value in event.items() if key != "candidates"})
        for raw in items(event.get("candidates")):
            _add_to_candidate(self._candidates.setdefault(index_of(raw), {}), raw)

    @property
    def whole(self) -> Json | None:
        """A verdict on the prompt is an answer without candidates."""
        if not self._candidates:
            return self._head if "promptFeedback" in self._head else None
        candidates = [finished(candidate) for _, candidate in sorted(self._candidates.items())]
        if self._failed:
            candidates = [{**candidate, "finishReason": None} for candidate in candidates]
        return {"candidates": candidates, **self._head}


def _add_to_candidate(candidate: Json, raw: Mapping[str, Any]) -> None:
    candidate.update({key: value for key, value in raw.items() if key != "content"})
    content = raw.get("content")
    if not isinstance(content, dict):
        return
    known = candidate.setdefault("content", {"parts": []})
    known.update({key: value for key, value in content.items() if key != "parts"})
    for part in _parts(content):
        _add_part(known["parts"], part)


def _add_part(parts: list[Json], part: Mapping[str, Any]) -> None:
    """Add a part: a text continues the text before it of the same kind; an empty text is left out."""
    last = parts[-1] if parts else None
    if last is not None and _is_text(last) and _is_text(part) and last.get("thought") == part.get("thought"):
        last["text"].add(part["text"])
        last.update({key: value for key, value in part.items() if key != "text"})
    elif part != {"text": ""}:
        parts.append({**part, "text": GrowingText(part["text"])} if _is_text(part) else dict(part))


def _is_text(part: Mapping[str, Any]) -> bool:
    return part.keys() <= _TEXT_FIELDS and isinstance(part.get("text"), str | GrowingText)


def _get(value: Mapping[str, Any], name: str) -> Any:
    """A field by its name in camel case, or in snake case."""
    if name in value:
        return value[name]
    return value.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _system(instruction: Any) -> str:
    if isinstance(instruction, str):
        return instruction
    return "\n\n".join(_Said(_parts(instruction)).texts) if isinstance(instruction, dict) else ""


def _config(body: Mapping[str, Any]) -> Mapping[str, Any]:
    config = _get(body, "generationConfig")
    return config if isinstance(config, dict) else {}


def _no_place(body: Mapping[str, Any]) -> str:
    config = _config(body)
    if _get(body, "cachedContent") or _get(config, "cachedContent"):
        return CACHED_CONTENT
    wanted = _get(config, "responseModalities")
    kinds = {str(kind).upper() for kind in (wanted if isinstance(wanted, list) else [wanted] if wanted else ())}
    return NOT_READ if kinds and kinds <= _NOT_TEXT else ""


def _messages(contents: Any) -> Iterator[Message]:
    """The messages of a request, empty ones included.

    Contents of the model that follow each other are one message: the SDK's chats keep a streamed answer as one
    content for each chunk.
    """
    if isinstance(contents, str):
        yield Message(role="user", text=contents)
        return
    by_model: list[Mapping[str, Any]] = []
    for content in items([contents] if isinstance(contents, dict) else contents):
        role, parts = content.get("role") or "user", list(_parts(content))
        if role == "model":
            by_model += parts
            continue
        yield _Said(by_model).by_model()
        by_model = []
        yield from (_tool_result(result) for result in map(_result_of, parts) if result is not None)
        if role == "user":
            yield _Said(part for part in parts if _result_of(part) is None).by_user()
    yield _Said(by_model).by_model()


def _parts(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    parts = content.get("parts")
    return items([parts] if isinstance(parts, dict) else parts)


def _result_of(part: Any) -> Mapping[str, Any] | None:
    """The function's result that a part brings; None for any other part."""
    result = _get(part, "functionResponse") if isinstance(part, dict) else None
    return result if isinstance(result, dict) else None


def _tool_result(result: Mapping[str, Any]) -> Message:
    call = result.get("id") or result.get("name")
    response = result.get("response")
    return Message(
        role="tool", text="" if response is None else _json(response), tool_call_id=str(call) if call else None
    )


def _tool_call(call: Mapping[str, Any]) -> ToolCall:
    """The model's call; where it has no id, its result names the function."""
    args = call.get("args")
    return ToolCall(
        id=str(call.get("id") or ""), name=str(call.get("name") or ""), arguments=_json({} if args is None else args)
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _with_memory(contents: Any, memory: str, words_behind: int) -> Any:
    """The contents with memory in front of the user's own words."""
    if isinstance(contents, str):
        return f"{memory}\n\n{contents}"
    if isinstance(contents, dict):
        return _with_memory([contents], memory, words_behind)[0]
    if not isinstance(contents, list):
        return contents
    of_user = [
        index
        for index, content in enumerate(contents)
        if isinstance(content, dict) and (content.get("role") or "user") == "user"
    ]
    if words_behind >= len(of_user):
        return contents
    index = of_user[-1 - words_behind]
    parts = contents[index].get("parts")
    parts = [parts] if isinstance(parts, dict) else parts
    if not isinstance(parts, list) or (own := _first_own(parts)) is None:
        return contents
    added = {**contents[index], "parts": [*parts[:own], {"text": f"{memory}\n\n"}, *parts[own:]]}
    return [*contents[:index], added, *contents[index + 1 :]]


def _first_own(parts: list[Any]) -> int | None:
    """Index of the first part that is the user's, not a function's result."""
    return next((index for index, part in enumerate(parts) if _result_of(part) is None), None)


def _with_instructions(system: Any, text: str) -> Any:
    """The system instruction with a text at its end.

    A single text is added to, not followed by a part: of several, LiteLLM shows a model of another provider only
    the first.
    """
    if not system:
        return {"parts": [{"text": text}]}
    if isinstance(system, str):
        return f"{system}\n\n{text}"
    if not isinstance(system, dict):
        return system
    parts = system.get("parts")
    if not parts:
        return {**system, "parts": [{"text": text}]}
    parts = [parts] if isinstance(parts, dict) else parts
    if not isinstance(parts, list):
        return system
    if len(parts) == 1 and isinstance(parts[0], dict) and isinstance(parts[0].get("text"), str):
        whole = "\n\n".join(filter(None, (parts[0]["text"], text)))
        return {**system, "parts": [{**parts[0], "text": whole}]}
    return {**system, "parts": [*parts, {"text": text}]}
