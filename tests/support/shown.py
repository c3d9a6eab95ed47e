"""What a request shows to the model, whichever API of the provider it came through."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.script import Recorded

OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
"""How a memory block begins and ends."""

SYSTEM_ROLES = ("system", "developer")

Said = tuple[str, str]
"""(kind, what): `user` and `assistant` with a text; `call` and `result` with the id, or at Gemini's the name, that ties
them together."""


@dataclass(frozen=True)
class Shown:
    """A request as the model gets it."""

    system: str
    """The system message, in whichever field it stands."""
    said: tuple[Said, ...]
    """The conversation, in order."""

    @property
    def question(self) -> str:
        """Text of the last message of the user that has one, memory included; "" if there is none."""
        return next((what for kind, what in reversed(self.said) if kind == "user"), "")


def shown(request: Recorded) -> Shown:
    """Read a recorded request of any of the provider's APIs."""
    body: dict[str, Any] = request.json
    read = next(read for path, read in _READERS.items() if path in request.path)
    return Shown(_system(body), tuple(read(body)))


def parted(text: str) -> tuple[str, str, str]:
    """What stands before the memory block, the block, and what follows it. Fails the test if there is none."""
    before, opening, rest = text.partition(OPENING)
    block, closing, after = rest.partition(CLOSING)
    assert opening, f"there should be a memory block in {text!r}"
    assert closing, f"the memory block should be closed in {text!r}"
    return before, opening + block + closing, after


def leading_block(text: str) -> tuple[str, str]:
    """The memory block at the start of a message, and the words after it. Fails the test if there is none."""
    before, block, words = parted(text)
    assert before == "", f"the message should begin with the memory block: {text!r}"
    return block, words


def _system(body: Mapping[str, Any]) -> str:
    """Wherever the APIs have it: in a field of its own or, of OpenAI's, in messages."""
    instruction = body.get("systemInstruction") or body.get("system_instruction") or {}
    apart = _text(body.get("instructions") or body.get("system") or instruction.get("parts"))
    messages = body.get("messages") or body.get("input")
    among = messages if isinstance(messages, list) else []
    return "\n".join(filter(None, (apart, *(_text(item["content"]) for item in among if _role(item) in SYSTEM_ROLES))))


def _role(item: Mapping[str, Any]) -> str:
    """The role of a message; "" of what is none, like a tool call of the Responses API."""
    return str(item.get("role", ""))


def _text(content: Any) -> str:
    """A string, or the texts of parts; "" where there is none."""
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if "text" in part)
    return content or ""


def _texts(kind: str, content: Any) -> Iterator[Said]:
    if text := _text(content):
        yield kind, text


def _chat(body: Mapping[str, Any]) -> Iterator[Said]:
    for message in body["messages"]:
        if message["role"] == "tool":
            yield "result", message["tool_call_id"]
        elif message["role"] in ("user", "assistant"):
            yield from _texts(message["role"], message.get("content"))
        for call in message.get("tool_calls") or ():
            yield "call", call["id"]


def _anthropic(body: Mapping[str, Any]) -> Iterator[Said]:
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        yield from _texts(message["role"], [block for block in blocks if block["type"] == "text"])
        for block in blocks:
            if block["type"] == "tool_use":
                yield "call", block["id"]
            elif block["type"] == "tool_result":
                yield "result", block["tool_use_id"]


def _responses(body: Mapping[str, Any]) -> Iterator[Said]:
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        if _role(item) in ("user", "assistant"):
            yield from _texts(item["role"], item["content"])
        elif item.get("type") in ("function_call", "function_call_output"):
            yield item["type"].removeprefix("function_").replace("call_output", "result"), item["call_id"]


def _gemini(body: Mapping[str, Any]) -> Iterator[Said]:
    for content in body["contents"]:
        yield from _texts("assistant" if content.get("role") == "model" else "user", content["parts"])
        for part in content["parts"]:
            for kind, names in (("call", _CALL), ("result", _RESULT)):
                yield from ((kind, part[name]["name"]) for name in names if name in part)


def _completions(body: Mapping[str, Any]) -> Iterator[Said]:
    prompt = body["prompt"]
    yield "user", prompt if isinstance(prompt, str) else json.dumps(prompt)


_CALL, _RESULT = ("functionCall", "function_call"), ("functionResponse", "function_response")
"""Google reads both ways of writing."""

_READERS: dict[str, Callable[[Mapping[str, Any]], Iterator[Said]]] = {
    "/chat/completions": _chat,
    "/completions": _completions,
    "/responses": _responses,
    "/messages": _anthropic,
    "enerateContent": _gemini,
}
"""By what only their paths hold, the more special first."""
