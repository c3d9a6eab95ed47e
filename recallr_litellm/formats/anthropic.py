"""Anthropic Messages: `/v1/messages`.

Reference: https://docs.anthropic.com/en/api/messages
Stream: https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from recallr_litellm.core.messages import Message, ToolCall
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
from recallr_litellm.json_text import parsed

THINKING = ("thinking", "redacted_thinking")
"""Blocks that are the model's own business: clients may leave them out of the history."""


class Anthropic:
    """The Anthropic Messages format."""

    call_types = frozenset({"anthropic_messages"})

    def read(self, body: Mapping[str, Any]) -> Conversation:
        """What the client sent; `system` and messages of unknown roles are left out."""
        messages = [message for raw in items(body.get("messages")) for message in _messages(raw)]
        metadata = body.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, dict) else None
        return Conversation(
            messages=without_empty(messages),
            user=user if isinstance(user, str) and user else None,
            uses_tools=bool(body.get("tools")),
            system=_said(_blocks(body.get("system")))[0],
            max_tokens=token_limit(body.get("max_tokens")),
        )

    def inject(self, body: Body, added: Injection) -> None:
        """Blocks, and the `cache_control` on them, stay as and where they are."""
        if not isinstance(body.get("messages"), list):
            return
        if added.beside_words:
            _put_beside_own_words(body, added.memory, added.words_behind, at_end=added.position != "front")
        if added.to_system:
            _append_to_system(body, added.to_system)

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """A `message` object."""
        return reply_of([_assistant(_blocks(body.get("content")))], complete=bool(body.get("stop_reason")))

    def stream_reader(self, body: Mapping[str, Any]) -> AnthropicStream:
        return AnthropicStream()


ANTHROPIC = Anthropic()


_STARTED_BY = {"text_delta": "text", "input_json_delta": "tool_use"}
"""Type of a block whose start was not announced, by its deltas."""

_PARTIAL_INPUT = "partial_json"


class AnthropicStream:
    """Puts a streamed message together."""

    def __init__(self) -> None:
        self._message: Json = {}
        self._blocks: list[Json] = []
        self._open: dict[int, Json] = {}
        """The block that each index names: some providers use an index again."""
        self._stopped = False
        self._failed = False

    def feed(self, data: str) -> None:
        event = event_of(data)
        delta = event.get("delta")
        match event.get("type"):
            case "message_start" if isinstance(event.get("message"), dict):
                self._message = dict(event["message"])
                self._stopped = False
            case "content_block_start" if isinstance(event.get("content_block"), dict):
                self._start(index_of(event), event["content_block"])
            case "content_block_delta" if isinstance(delta, dict):
                _add_delta(self._block(index_of(event), delta), delta)
            case "message_delta":
                self._end_message(event, delta if isinstance(delta, dict) else {})
            case "message_stop":
                self._stopped = True
            case "error":
                self._failed = True

    @property
    def complete(self) -> bool:
        return self._stopped and not self._failed

    @property
    def whole(self) -> Json | None:
        """The input of a tool call that broke off is its JSON text as far as it came."""
        if not self._message and not self._blocks:
            return None
        whole = {**self._message, "content": [_whole_block(block) for block in self._blocks]}
        return whole if self.complete else {**whole, "stop_reason": None}

    def _start(self, index: int, begun: Mapping[str, Any]) -> Json:
        block: Json = {}
        merge(block, begun)
        self._blocks.append(block)
        self._open[index] = block
        return block

    def _block(self, index: int, delta: Mapping[str, Any]) -> Json:
        if (block := self._open.get(index)) is not None:
            return block
        return self._start(index, {"type": _STARTED_BY.get(str(delta.get("type")), "thinking")})

    def _end_message(self, event: Mapping[str, Any], delta: Mapping[str, Any]) -> None:
        others = {key: value for key, value in event.items() if key not in ("type", "delta", "usage")}
        self._message.update({**others, **delta})
        if isinstance(event.get("usage"), dict):
            known = self._message.get("usage")
            self._message["usage"] = {**(known if isinstance(known, dict) else {}), **event["usage"]}
        self._stopped = self._stopped or bool(delta.get("stop_reason"))


def _add_delta(block: Json, delta: Mapping[str, Any]) -> None:
    if delta.get("type") == "citations_delta":
        merge(block, {"citations": [delta.get("citation")]})
    else:
        merge(block, {key: value for key, value in delta.items() if key != "type"})


def _whole_block(block: Json) -> Json:
    whole: Json = finished(block)
    text = whole.pop(_PARTIAL_INPUT, "")
    if text and isinstance(text, str):
        try:
            whole["input"] = parsed(text)
        except (ValueError, RecursionError):
            whole["input"] = text
    return whole


def _messages(raw: Mapping[str, Any]) -> Iterator[Message]:
    """A wire message as messages: each tool result of a user message is one, and comes before the user's own words."""
    blocks = _blocks(raw.get("content"))
    if raw.get("role") == "assistant":
        yield _assistant(blocks)
    elif raw.get("role") == "user":
        for block in blocks:
            if block.get("type") == "tool_result":
                text, attachments = _said(_blocks(block.get("content")))
                call_id = str(block.get("tool_use_id") or "") or None
                yield Message(role="tool", text=text, tool_call_id=call_id, attachments=attachments)
        yield _own_words(blocks)


def _own_words(blocks: list[Mapping[str, Any]]) -> Message:
    """What the user says in a user message, beside results of tools."""
    own = [block for block in blocks if block.get("type") != "tool_result"]
    text, attachments = _said(own)
    texts = tuple(block["text"] for block in own if block.get("type") == "text" and isinstance(block.get("text"), str))
    return Message(role="user", text=text, parts=texts if len(texts) > 1 else (), attachments=attachments)


def _assistant(blocks: list[Mapping[str, Any]]) -> Message:
    calls = tuple(
        ToolCall(
            id=str(block.get("id") or ""),
            name=str(block.get("name") or ""),
            arguments=_arguments(block.get("input", {})),
        )
        for block in blocks
        if block.get("type") == "tool_use"
    )
    text, attachments = _said([block for block in blocks if block.get("type") != "tool_use"])
    return Message(role="assistant", text=text, tool_calls=calls, attachments=attachments)


def _arguments(input: Any) -> str:
    """The input of a tool call as text, the same however it was written: clients send it back parsed and in an order
    of their own."""
    if isinstance(input, str):
        return input
    return json.dumps(input, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _blocks(content: Any) -> list[Mapping[str, Any]]:
    """Content as blocks; a string is one of text."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(items(content))


def _said(blocks: list[Mapping[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """Text of content blocks and the types of the others; what the model thinks is neither."""
    texts: list[str] = []
    others: list[str] = []
    cited = False
    for block in blocks:
        text, kind = block.get("text"), block.get("type")
        if kind == "text" and isinstance(text, str):
            # An answer with citations is one running text, cut before and behind each passage that has one.
            runs_on = cited or bool(block.get("citations"))
            cited = bool(block.get("citations"))
            texts += [text] if runs_on or not texts else ["\n", text]
        elif kind not in THINKING:
            others.append(str(kind or "unknown"))
    return "".join(texts), tuple(others)


def _put_beside_own_words(body: Body, memory: str, words_behind: int, *, at_end: bool) -> None:
    messages = body["messages"]
    of_user = [
        index for index, message in enumerate(messages) if isinstance(message, dict) and message.get("role") == "user"
    ]
    if words_behind >= len(of_user):
        return
    index = of_user[-1 - words_behind]
    content = messages[index].get("content")
    if not isinstance(content, str | list):
        return
    body["messages"] = [
        *messages[:index],
        {**messages[index], "content": _with_memory(content, memory, at_end=at_end)},
        *messages[index + 1 :],
    ]


def _with_memory(content: Any, memory: str, *, at_end: bool) -> Any:
    """Content, a string or blocks, with memory in front, but behind results of tools: those must follow their calls."""
    if at_end:
        return [*_blocks_as_sent(content), {"type": "text", "text": memory}]
    if isinstance(content, str):
        return f"{memory}\n\n{content}"
    results = [n for n, block in enumerate(content) if isinstance(block, dict) and block.get("type") == "tool_result"]
    place = results[-1] + 1 if results else 0
    return [*content[:place], {"type": "text", "text": f"{memory}\n\n"}, *content[place:]]


def _blocks_as_sent(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _append_to_system(body: Body, text: str) -> None:
    system = body.get("system")
    if isinstance(system, str) and system:
        body["system"] = f"{system}\n\n{text}"
    elif isinstance(system, list) and system:
        body["system"] = [*system, {"type": "text", "text": text}]
    elif not system:
        body["system"] = text
