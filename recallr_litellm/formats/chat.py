"""OpenAI Chat Completions: `/v1/chat/completions`.

Reference: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recallr_litellm.core.messages import Message, Role, ToolCall
from recallr_litellm.formats.base import Body, Conversation, Ending, Reply, event_of, items, reply_of

SYSTEM_ROLES = frozenset({"system", "developer"})
ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "tool": "tool", "function": "tool"}


class Chat:
    """The chat completions format."""

    call_types = frozenset({"acompletion", "completion"})

    def read(self, body: Mapping[str, Any]) -> Conversation:
        """What the client sent; messages of unknown roles are left out."""
        messages = [_message(raw, ROLES[raw["role"]]) for raw in _raw_messages(body) if _role(raw) in ROLES]
        user = body.get("user")
        return Conversation(
            messages=tuple(message for message in messages if not message.empty),
            user=user if isinstance(user, str) and user else None,
            uses_tools=bool(body.get("tools") or body.get("functions")),
        )

    def inject(self, body: Body, *, instructions: str, memory: str, into_system: bool) -> None:
        """See `Format.inject`."""
        if not isinstance(body.get("messages"), list):
            return
        messages: list[Any] = list(body["messages"])
        to_system = "\n\n".join(text for text in (instructions, memory if into_system else "") if text)
        if memory and not into_system:
            _put_before_last_user_words(messages, memory)
        if to_system:
            _append_to_system(messages, to_system)
        body["messages"] = messages

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """Every choice of a `chat.completion` object."""
        choices = [choice for choice in items(body.get("choices")) if isinstance(choice.get("message"), dict)]
        return reply_of(
            [_message(choice["message"], "assistant") for choice in choices],
            complete=all(choice.get("finish_reason") for choice in choices),
        )

    def stream_reader(self, body: Mapping[str, Any]) -> ChatStream:
        """See `Format.stream_reader`."""
        expected = body.get("n")
        return ChatStream(expected if isinstance(expected, int) and expected > 0 else 1)


CHAT = Chat()


@dataclass(slots=True)
class _ToolCallParts:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    text: list[str] = field(default_factory=list)
    tool_calls: dict[int, _ToolCallParts] = field(default_factory=dict)
    finished: bool = False

    def message(self) -> Message:
        calls = (
            ToolCall(id=call.id, name=call.name, arguments="".join(call.arguments))
            for _, call in sorted(self.tool_calls.items())
        )
        return Message(role="assistant", text="".join(self.text), tool_calls=tuple(calls))


class ChatStream:
    """Puts the choices of `chat.completion.chunk` events together."""

    def __init__(self, choices: int) -> None:
        self._expected = choices
        self._choices: dict[int, _Choice] = {}
        self._ending = Ending()

    def feed(self, data: str) -> None:
        """See `StreamReader.feed`."""
        event = event_of(data)
        self._ending.see(data, event)
        for raw in items(event.get("choices")):
            index = raw.get("index", 0)
            choice = self._choices.setdefault(index if isinstance(index, int) else 0, _Choice())
            delta = raw.get("delta")
            if isinstance(delta, dict):
                _add(choice, delta)
            choice.finished = choice.finished or bool(raw.get("finish_reason"))

    @property
    def complete(self) -> bool:
        """See `StreamReader.complete`. LiteLLM passes on the finish reason of one choice only, whatever `n` is."""
        finished = len(self._choices) >= self._expected and all(choice.finished for choice in self._choices.values())
        return self._ending.done or (finished and not self._ending.failed)

    @property
    def reply(self) -> Reply:
        """See `StreamReader.reply`."""
        return reply_of([choice.message() for _, choice in sorted(self._choices.items())], complete=self.complete)


def _add(choice: _Choice, delta: Mapping[str, Any]) -> None:
    for key in ("content", "refusal"):
        if isinstance(delta.get(key), str):
            choice.text.append(delta[key])
    for raw in items(delta.get("tool_calls")):
        index = raw.get("index", 0)
        call = choice.tool_calls.setdefault(index if isinstance(index, int) else 0, _ToolCallParts())
        call.id = str(raw.get("id") or call.id)
        function = raw.get("function")
        if isinstance(function, dict):
            call.name = str(function.get("name") or call.name)
            call.arguments.append(str(function.get("arguments") or ""))


def _raw_messages(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return items(body.get("messages"))


def _role(raw: Any) -> str:
    role = raw.get("role") if isinstance(raw, dict) else None
    return role if isinstance(role, str) else ""


def _message(raw: Mapping[str, Any], role: Role) -> Message:
    text, attachments = _content(raw.get("content"))
    refusal = raw.get("refusal")
    if not text and isinstance(refusal, str):
        text = refusal
    call_id = raw.get("tool_call_id") or (raw.get("name") if role == "tool" else None)
    return Message(
        role=role,
        text=text,
        tool_calls=tuple(_tool_call(call) for call in items(raw.get("tool_calls"))),
        tool_call_id=str(call_id) if role == "tool" and call_id else None,
        attachments=attachments,
    )


def _content(content: Any) -> tuple[str, tuple[str, ...]]:
    """Text of a message and the types of its other parts."""
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, list):
        return "", ()
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
    return "\n".join(texts), tuple(others)


def _tool_call(raw: Mapping[str, Any]) -> ToolCall:
    function = raw.get("function")
    details: Mapping[str, Any] = function if isinstance(function, dict) else {}
    return ToolCall(
        id=str(raw.get("id") or ""),
        name=str(details.get("name") or ""),
        arguments=str(details.get("arguments") or ""),
    )


def _put_before_last_user_words(messages: list[Any], memory: str) -> None:
    for index in range(len(messages) - 1, -1, -1):
        if _role(messages[index]) == "user":
            content = messages[index].get("content")
            if isinstance(content, str):
                messages[index] = {**messages[index], "content": f"{memory}\n\n{content}"}
            elif isinstance(content, list):
                messages[index] = {**messages[index], "content": [{"type": "text", "text": f"{memory}\n\n"}, *content]}
            return


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
