"""OpenAI Chat Completions: `/v1/chat/completions`.

Reference: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recallr_litellm.core.laid import Position
from recallr_litellm.core.messages import Message, Role, ToolCall
from recallr_litellm.formats.base import (
    CACHED_CONTENT,
    NOT_READ,
    Body,
    Conversation,
    Injection,
    Reply,
    items,
    reply_of,
    token_limit,
    without_empty,
)
from recallr_litellm.formats.choices import ChoicesStream
from recallr_litellm.formats.deltas import Json

SYSTEM_ROLES = frozenset({"system", "developer"})
ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}
_NAME_CHARACTERS = 64
"""Most of a name: what OpenAI's API takes."""


class Chat:
    """The chat completions format."""

    call_types = frozenset({"acompletion", "completion"})

    def read(self, body: Mapping[str, Any]) -> Conversation:
        """What the client sent; messages of unknown roles are left out."""
        messages = [_message(raw, ROLES[raw["role"]]) for raw in _raw_messages(body) if _role(raw) in ROLES]
        user = body.get("user")
        return Conversation(
            messages=without_empty(messages),
            user=user if isinstance(user, str) and user else None,
            uses_tools=bool(body.get("tools") or body.get("functions")),
            system="\n\n".join(
                _content(raw.get("content"))[0] for raw in _raw_messages(body) if _role(raw) in SYSTEM_ROLES
            ),
            max_tokens=token_limit(body.get("max_completion_tokens") or body.get("max_tokens")),
            no_place=_no_place(body),
        )

    def inject(self, body: Body, added: Injection) -> None:
        if not isinstance(body.get("messages"), list):
            return
        messages: list[Any] = list(body["messages"])
        if added.beside_words:
            _put_beside_own_words(messages, added.memory, added.words_behind, added.position)
        if added.to_system:
            _append_to_system(messages, added.to_system)
        body["messages"] = messages

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """Every choice of a `chat.completion` object."""
        choices = [choice for choice in items(body.get("choices")) if isinstance(choice.get("message"), dict)]
        return reply_of(
            [_message(choice["message"], "assistant") for choice in choices],
            complete=all(choice.get("finish_reason") for choice in choices),
        )

    def stream_reader(self, body: Mapping[str, Any]) -> ChoicesStream:
        return ChoicesStream(body, "chat.completion", _whole_choice)


CHAT = Chat()


def _no_place(body: Mapping[str, Any]) -> str:
    """Gemini's cached content, which LiteLLM passes on; a picture alone as the answer. One that is spoken is one."""
    extra = body.get("extra_body")
    fields = {**extra, **body} if isinstance(extra, dict) else body
    if fields.get("cached_content") or fields.get("cachedContent"):
        return CACHED_CONTENT
    return NOT_READ if fields.get("modalities") == ["image"] else ""


def _whole_choice(choice: Json) -> Json:
    """A choice whose merged deltas are its message."""
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


def _raw_messages(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return items(body.get("messages"))


def _role(raw: Any) -> str:
    role = raw.get("role") if isinstance(raw, dict) else None
    return role if isinstance(role, str) else ""


def _message(raw: Mapping[str, Any], role: Role) -> Message:
    texts, attachments = _texts(raw.get("content"))
    attachments += tuple(str(image.get("type") or "image_url") for image in items(raw.get("images")))
    text = "\n".join(texts) or _said_otherwise(raw)
    call_id = raw.get("tool_call_id") or (raw.get("name") if role == "tool" else None)
    name = raw.get("name")
    return Message(
        role=role,
        name=" ".join(name.split())[:_NAME_CHARACTERS] if role == "user" and isinstance(name, str) else "",
        text=text,
        parts=tuple(texts) if len(texts) > 1 else (),
        tool_calls=tuple(_tool_call(call) for call in items(raw.get("tool_calls"))),
        tool_call_id=str(call_id) if role == "tool" and call_id else None,
        attachments=attachments,
    )


def _said_otherwise(raw: Mapping[str, Any]) -> str:
    """What a message without text says: a refusal, or what is heard in its audio."""
    places = (raw, raw.get("provider_specific_fields"), raw.get("audio"))  # LiteLLM before 1.106 has it in the second
    said = (place.get(name) for place in places if isinstance(place, dict) for name in ("refusal", "transcript"))
    return next((text for text in said if isinstance(text, str) and text), "")


def _content(content: Any) -> tuple[str, tuple[str, ...]]:
    """Text of a message and the types of its other parts."""
    texts, others = _texts(content)
    return "\n".join(texts), others


def _texts(content: Any) -> tuple[list[str], tuple[str, ...]]:
    """Text parts of a message and the types of its other parts."""
    if isinstance(content, str):
        return [content], ()
    if not isinstance(content, list):
        return [], ()
    texts: list[str] = []
    others: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            text = part.get("text") if part.get("type") == "text" else part.get("refusal")
            if isinstance(text, str):
                texts.append(text)
            else:
                others.append(str(part.get("type") or "unknown"))
    return texts, tuple(others)


def _tool_call(raw: Mapping[str, Any]) -> ToolCall:
    function = raw.get("function")
    details: Mapping[str, Any] = function if isinstance(function, dict) else {}
    return ToolCall(
        id=str(raw.get("id") or ""),
        name=str(details.get("name") or ""),
        arguments=str(details.get("arguments") or ""),
    )


def _put_beside_own_words(messages: list[Any], memory: str, words_behind: int, position: Position) -> None:
    of_user = [index for index, message in enumerate(messages) if _role(message) == "user"]
    if words_behind >= len(of_user):
        return
    index = of_user[-1 - words_behind]
    if position == "behind":
        while index + 1 < len(messages) and _role(messages[index + 1]) in SYSTEM_ROLES:
            index += 1
        messages.insert(index + 1, {"role": "user", "content": memory})
        return
    message, content = messages[index], messages[index].get("content")
    if position == "end" and isinstance(content, str):
        # LiteLLM finds the mark of a message with several parts at these only.
        mark = {"cache_control": message["cache_control"]} if "cache_control" in message else {}
        message = {key: value for key, value in message.items() if key != "cache_control"}
        content = [{"type": "text", "text": content, **mark}]
    if isinstance(content, str):
        messages[index] = {**message, "content": f"{memory}\n\n{content}"}
    elif isinstance(content, list):
        text = {"type": "text", "text": f"\n\n{memory}" if position == "end" else f"{memory}\n\n"}
        messages[index] = {**message, "content": [*content, text] if position == "end" else [text, *content]}


def _append_to_system(messages: list[Any], text: str) -> None:
    for index, message in enumerate(messages):
        if _role(message) in SYSTEM_ROLES:
            content = message.get("content")
            if isinstance(content, str):
                messages[index] = {**message, "content": f"{content}\n\n{text}" if content else text}
                return
            if isinstance(content, list):
                messages[index] = {**message, "content": [*content, {"type": "text", "text": text}]}
                return
    messages.insert(0, {"role": "system", "content": text})
