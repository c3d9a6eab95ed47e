"""Gemini: `/v1beta/models/{model}:generateContent` and `:streamGenerateContent`.

Reference: https://ai.google.dev/api/generate-content and https://ai.google.dev/api/caching#Content.
Google reads names in camel case and in snake case, and one object where an array of objects belongs; so do we.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.formats.base import Body, Conversation, Reply, event_of, items, reply_of

_NO_CONTENT = frozenset({"thought", "thoughtSignature", "thought_signature", "videoMetadata", "video_metadata"})
"""What a part may hold besides its content."""


class Gemini:
    """The generateContent format."""

    call_types = frozenset({"agenerate_content", "agenerate_content_stream"})

    def read(self, body: Mapping[str, Any]) -> Conversation:
        """What the client sent; contents of unknown roles are left out. There is no user id in the body."""
        return Conversation(
            messages=tuple(message for message in _messages(body.get("contents")) if not message.empty),
            uses_tools=bool(body.get("tools")),
        )

    def inject(self, body: Body, *, instructions: str, memory: str, into_system: bool) -> None:
        """See `Format.inject`."""
        if "contents" not in body:
            return
        to_system = "\n\n".join(text for text in (instructions, memory if into_system else "") if text)
        if memory and not into_system:
            body["contents"] = _with_memory(body["contents"], memory)
        if to_system:
            # LiteLLM reads the first of the two that holds something
            key = "systemInstruction" if body.get("systemInstruction") else "system_instruction"
            key = key if body.get(key) else "systemInstruction"
            body[key] = _with_instructions(body.get(key), to_system)

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """Every candidate of a `GenerateContentResponse`."""
        answer = GeminiStream()
        answer.take(body)
        return answer.reply

    def stream_reader(self, body: Mapping[str, Any]) -> GeminiStream:
        """See `Format.stream_reader`."""
        return GeminiStream()


GEMINI = Gemini()


@dataclass(slots=True)
class _Said:
    """What parts say, gathered; the parts of an answer may come in many pieces."""

    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    finished: bool = False

    def add(self, parts: Iterable[Mapping[str, Any]]) -> None:
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
        return Message(role="user", text="\n".join(self.texts), attachments=tuple(self.others))


class GeminiStream:
    """Puts the candidates of `GenerateContentResponse` events together."""

    def __init__(self) -> None:
        self._candidates: dict[int, _Said] = {}

    def feed(self, data: str) -> None:
        """See `StreamReader.feed`."""
        self.take(event_of(data))

    def take(self, response: Mapping[str, Any]) -> None:
        """The same, parsed."""
        for raw in items(response.get("candidates")):
            index = raw.get("index", 0)
            candidate = self._candidates.setdefault(index if isinstance(index, int) else 0, _Said())
            content = raw.get("content")
            if isinstance(content, dict):
                candidate.add(_parts(content))
            candidate.finished = candidate.finished or bool(_get(raw, "finishReason"))

    @property
    def complete(self) -> bool:
        """Never before the end of the body: a finish reason is not the last word.

        Some models and servers give one with every chunk; and nothing but the end itself follows the last.
        """
        return False

    @property
    def reply(self) -> Reply:
        """See `StreamReader.reply`."""
        candidates = [candidate for _, candidate in sorted(self._candidates.items())]
        return reply_of(
            [candidate.by_model() for candidate in candidates],
            complete=all(candidate.finished for candidate in candidates),
        )


def _get(value: Mapping[str, Any], name: str) -> Any:
    """A field by its name in camel case, or in snake case."""
    if name in value:
        return value[name]
    return value.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _messages(contents: Any) -> Iterator[Message]:
    """The messages of a request, empty ones included.

    Contents of the model that follow each other are one message: the SDK's chats keep a streamed answer as one
    content for each chunk.
    """
    if isinstance(contents, str):
        yield Message(role="user", text=contents)
        return
    by_model: _Said | None = None
    for content in items([contents] if isinstance(contents, dict) else contents):
        role, parts = content.get("role") or "user", list(_parts(content))
        if role == "model":
            by_model = by_model or _Said()
            by_model.add(parts)
            continue
        if by_model is not None:
            yield by_model.by_model()
            by_model = None
        yield from (_tool_result(result) for result in map(_result_of, parts) if result is not None)
        if role == "user":
            said = _Said()
            said.add(part for part in parts if _result_of(part) is None)
            yield said.by_user()
    if by_model is not None:
        yield by_model.by_model()


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


def _with_memory(contents: Any, memory: str) -> Any:
    """The contents with memory in the last of them in which the user says something."""
    if isinstance(contents, str):
        return f"{memory}\n\n{contents}"
    if isinstance(contents, dict):
        return _with_memory([contents], memory)[0]
    if not isinstance(contents, list):
        return contents
    for index in range(len(contents) - 1, -1, -1):
        content = contents[index]
        if not isinstance(content, dict) or (content.get("role") or "user") != "user":
            continue
        parts = content.get("parts")
        parts = [parts] if isinstance(parts, dict) else parts
        if not isinstance(parts, list) or (own := _first_own(parts)) is None:
            continue
        added = {**content, "parts": [*parts[:own], {"text": f"{memory}\n\n"}, *parts[own:]]}
        return [*contents[:index], added, *contents[index + 1 :]]
    return contents


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
