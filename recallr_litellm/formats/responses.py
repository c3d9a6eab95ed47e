"""OpenAI Responses: `/v1/responses`.

References: https://platform.openai.com/docs/api-reference/responses and, for streams,
https://platform.openai.com/docs/api-reference/responses-streaming

A reply is a list of items (text, function calls, reasoning, …) and is kept as one message. Clients send
those items back one by one, so a run of the assistant's items in `input` is read as one message too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from recallr_litellm.core.messages import Message, Role, ToolCall
from recallr_litellm.formats.base import (
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
from recallr_litellm.formats.deltas import Json, finished, index_of, merge

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}
TEXTS = frozenset({"input_text", "output_text", "text", "refusal"})
"""Types of the content parts that are words."""
FINISHED = frozenset({"completed", "incomplete"})
"""States of a response that will not grow: `incomplete` is one cut off by a token limit or a filter."""


class Responses:
    """The responses format."""

    call_types = frozenset({"aresponses", "responses"})

    def read(self, body: Mapping[str, Any]) -> Conversation:
        """What the client sent. Reasoning, references and items of unknown types are left out."""
        given = body.get("input")
        messages = [Message(role="user", text=given)] if isinstance(given, str) else _messages(items(given))
        user = body.get("user")
        return Conversation(
            messages=without_empty(messages),
            user=user if isinstance(user, str) and user else None,
            uses_tools=bool(body.get("tools")),
            history_elsewhere=_history_elsewhere(body),
            system="\n\n".join(filter(None, (_text(body, "instructions"), *_system(items(given))))),
            max_tokens=token_limit(body.get("max_output_tokens")),
        )

    def inject(self, body: Body, added: Injection) -> None:
        """The system message is `instructions`.

        A provider that keeps the conversation (`previous_response_id`, `conversation`) keeps `input` with it, and
        memory put there would pile up. `instructions` hold for one response only: there it goes instead.
        """
        memory = added.memory
        if added.beside_words and not _history_elsewhere(body):
            given = _with_memory(body.get("input"), memory, added.words_behind)
            if given is not None:
                body["input"] = given
                memory = ""
        own = body.get("instructions")
        if (added.instructions or memory) and (own is None or isinstance(own, str)):
            body["instructions"] = "\n\n".join(text for text in (own, added.instructions, memory) if text)

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """The items of a `response` object. One that is made in the background has none yet."""
        status = body.get("status")
        output = (_message(item) for item in items(body.get("output")))
        said = [message for message in output if message is not None and message.role == "assistant"]
        reply = reply_of([_joined(said)], complete=isinstance(status, str) and status in FINISHED)
        return replace(reply, id=_text(body, "id") or None)

    def stream_reader(self, body: Mapping[str, Any]) -> ResponsesStream:
        return ResponsesStream()


RESPONSES = Responses()


_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_PART_DELTAS = {"response.output_text.delta": ("output_text", "text"), "response.refusal.delta": ("refusal", "refusal")}
"""Deltas of content parts: type of the part, and its field that grows."""
_ITEM_DELTAS = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}
"""Deltas of an output item's own fields."""


class _Item:
    """An output item that is coming in. Only its deltas count: LiteLLM's faked streams begin with the whole text."""

    def __init__(self) -> None:
        self.begun: Json = {}
        self.done: Json | None = None
        self.parts: dict[int, Json] = {}
        self.fields: Json = {}

    def so_far(self) -> Json:
        if self.done is not None:
            return self.done
        whole = {**self.begun, **finished(self.fields)}
        if self.parts or self.begun.get("type") == "message":
            content = [finished(part) for _, part in sorted(self.parts.items())]
            return {"type": "message", "role": "assistant", **whole, "content": content}
        return whole


class ResponsesStream:
    """Puts a response together from its events. The last one brings all of it."""

    def __init__(self) -> None:
        self._before: list[Json] = []
        """What earlier responses of the same stream brought: some gateways run tool calls and go on."""
        self._response: Json = {}
        self._items: dict[int, _Item] = {}
        self.complete = False
        """A response that failed is not complete."""
        self._ended = False

    def feed(self, data: str) -> None:
        event = event_of(data)
        kind, item, part = event.get("type"), event.get("item"), event.get("part")
        if not isinstance(kind, str):
            return
        if kind == "response.created" and self._ended:
            self._before, self._items, self._ended, self.complete = self._output(), {}, False, False
        if isinstance(event.get("response"), dict):
            self._response = event["response"]
        if kind in _ENDS:
            self._ended = True
            self.complete = kind != "response.failed"
        elif kind == "response.output_item.added" and isinstance(item, dict):
            self._item(event).begun = item
        elif kind == "response.output_item.done" and isinstance(item, dict):
            self._item(event).done = item
        elif kind == "response.content_part.added" and isinstance(part, dict):
            unsaid = {name: "" for _, name in _PART_DELTAS.values() if name in part}
            self._item(event).parts[index_of(event, "content_index")] = {**part, **unsaid}
        elif kind in _PART_DELTAS and isinstance(event.get("delta"), str):
            type, name = _PART_DELTAS[kind]
            part = self._item(event).parts.setdefault(index_of(event, "content_index"), {"type": type})
            merge(part, {name: event["delta"]})
        elif kind in _ITEM_DELTAS and isinstance(event.get("delta"), str):
            merge(self._item(event).fields, {_ITEM_DELTAS[kind]: event["delta"]})
        elif kind == "response.function_call_arguments.done" and isinstance(event.get("arguments"), str):
            self._item(event).fields["arguments"] = event["arguments"]

    @property
    def whole(self) -> Json | None:
        output = self._output()
        if not self._response and not output:
            return None
        status = "completed" if self.complete else "in_progress"
        return {"status": status, **self._response, "output": output}

    def _output(self) -> list[Json]:
        if self._ended and self._response.get("output"):
            return [*self._before, *map(dict, items(self._response["output"]))]
        # Not finished; or a bridge's last event, which may bring no items.
        return [*self._before, *(item.so_far() for _, item in sorted(self._items.items()))]

    def _item(self, event: Mapping[str, Any]) -> _Item:
        return self._items.setdefault(index_of(event, "output_index"), _Item())


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def _history_elsewhere(body: Mapping[str, Any]) -> bool:
    """Whether the request goes on with what the provider keeps. LiteLLM passes `conversation` on from `extra_body`."""
    extra = body.get("extra_body")
    requests = (body, extra) if isinstance(extra, dict) else (body,)
    return any(request.get(key) for request in requests for key in ("previous_response_id", "conversation"))


def _system(given: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Texts of the system's and the developer's messages."""
    for item in given:
        if _kind(item) == "message" and item.get("role") in ("system", "developer"):
            yield _content(item.get("content"))[0]


def _messages(given: Iterable[Mapping[str, Any]]) -> list[Message]:
    """The messages that a list of items makes; a run of the assistant's items is one."""
    read = (message for message in map(_message, given) if message is not None)
    messages: list[Message] = []
    for said_by_assistant, run in groupby(read, lambda message: message.role == "assistant"):
        said = list(run)
        messages += [_joined(said)] if said_by_assistant else said
    return messages


def _joined(said: list[Message]) -> Message:
    return Message(
        role="assistant",
        text="\n".join(message.text for message in said if message.text),
        tool_calls=tuple(call for message in said for call in message.tool_calls),
        attachments=tuple(attachment for message in said for attachment in message.attachments),
    )


def _message(item: Mapping[str, Any]) -> Message | None:
    """What one item says; None for system messages and for all that is neither said, called nor answered.

    Calls and their results are told by their names: `function_call`, `custom_tool_call`, `computer_call`, … and the
    same with `_output`. Without a `call_id` they are tools that the provider runs itself.
    """
    kind = _kind(item)
    call_id = _text(item, "call_id")
    if kind == "message":
        role = ROLES.get(_text(item, "role"))
        texts, attachments = _texts(item.get("content"))
        parts = tuple(texts) if len(texts) > 1 else ()
        return None if role is None else Message(role=role, text="\n".join(texts), parts=parts, attachments=attachments)
    if kind.endswith("_call_output") and call_id:
        text, attachments = _content(item.get("output"))
        return Message(role="tool", text=text, tool_call_id=call_id, attachments=attachments)
    if kind.endswith("_call") and call_id:
        call = ToolCall(id=call_id, name=_text(item, "name") or kind.removesuffix("_call"), arguments=_arguments(item))
        return Message(role="assistant", tool_calls=(call,))
    if kind == "image_generation_call":
        return Message(role="assistant", attachments=(kind,))
    return None


def _kind(item: Mapping[str, Any]) -> str:
    """The type of an item; that of a message may be left out."""
    return _text(item, "type") or ("message" if "role" in item else "")


def _arguments(call: Mapping[str, Any]) -> str:
    given = next((call[key] for key in ("arguments", "input", "action", "operation") if call.get(key)), "")
    return given if isinstance(given, str) else json.dumps(given, sort_keys=True)


def _content(content: Any) -> tuple[str, tuple[str, ...]]:
    """Text of a message or a result, and the types of its other parts."""
    texts, others = _texts(content)
    return "\n".join(texts), others


def _texts(content: Any) -> tuple[list[str], tuple[str, ...]]:
    if isinstance(content, str):
        return [content], ()
    texts: list[str] = []
    others: list[str] = []
    for part in items(content):
        kind = _text(part, "type")
        text = part.get("refusal" if kind == "refusal" else "text") if kind in TEXTS else None
        if isinstance(text, str):
            texts.append(text)
        else:
            others.append(kind or "unknown")
    return texts, tuple(others)


def _with_memory(given: Any, memory: str, words_behind: int) -> Any:
    """`input` with memory in front of the user's own words; None where it has none."""
    if isinstance(given, str):
        return f"{memory}\n\n{given}"
    if not isinstance(given, list):
        return None
    of_user = [
        index
        for index, item in enumerate(given)
        if isinstance(item, dict) and _kind(item) == "message" and item.get("role") == "user"
    ]
    if words_behind >= len(of_user):
        return None
    index = of_user[-1 - words_behind]
    content = given[index].get("content")
    if isinstance(content, str):
        with_memory: Any = f"{memory}\n\n{content}"
    elif isinstance(content, list):
        with_memory = [{"type": "input_text", "text": f"{memory}\n\n"}, *content]
    else:
        return None
    return [*given[:index], {**given[index], "content": with_memory}, *given[index + 1 :]]
