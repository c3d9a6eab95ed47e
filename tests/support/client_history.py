"""A client's conversation in each request format: what it has said, was answered, and sends again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Items = list[dict[str, Any]]
"""Messages as the format writes them."""


@dataclass(frozen=True)
class ClientFormat:
    """How a client of one format writes its conversation."""

    call_type: str
    user: Callable[[str], Items]
    assistant: Callable[[str], Items]
    calls: Callable[[str, str], Items]
    """The model's call of a tool, by its id and its arguments."""
    result: Callable[[str, str], Items]
    """What the tool returned, by the id of the call."""
    messages: str
    """Field of the body that holds the messages."""
    system: str = ""
    """Field of the body that holds the system message; "" where it is among the messages."""

    def body(self, history: Items, **fields: Any) -> dict[str, Any]:
        """A request with this history."""
        return {"model": "gpt-4o", self.messages: json.loads(json.dumps(history)), **fields}

    def prompt(self, body: dict[str, Any]) -> str:
        """What the model reads, in the order in which a prompt cache compares it."""
        return json.dumps([body.get(self.system), *body[self.messages]], ensure_ascii=False)


def _message(role: str, content: Any) -> Items:
    return [{"role": role, "content": content}]


def _content(role: str, part: dict[str, Any]) -> Items:
    return [{"role": role, "parts": [part]}]


FORMATS = {
    "chat": ClientFormat(
        "acompletion",
        lambda text: _message("user", text),
        lambda text: _message("assistant", text),
        lambda id, arguments: [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": id, "type": "function", "function": {"name": "look", "arguments": arguments}}],
            }
        ],
        lambda id, text: [{"role": "tool", "tool_call_id": id, "content": text}],
        "messages",
    ),
    "responses": ClientFormat(
        "aresponses",
        lambda text: _message("user", text),
        lambda text: _message("assistant", [{"type": "output_text", "text": text}]),
        lambda id, arguments: [{"type": "function_call", "call_id": id, "name": "look", "arguments": arguments}],
        lambda id, text: [{"type": "function_call_output", "call_id": id, "output": text}],
        "input",
        "instructions",
    ),
    "messages": ClientFormat(
        "anthropic_messages",
        lambda text: _message("user", text),
        lambda text: _message("assistant", [{"type": "text", "text": text}]),
        lambda id, arguments: _message(
            "assistant", [{"type": "tool_use", "id": id, "name": "look", "input": json.loads(arguments)}]
        ),
        lambda id, text: _message("user", [{"type": "tool_result", "tool_use_id": id, "content": text}]),
        "messages",
        "system",
    ),
    "gemini": ClientFormat(
        "agenerate_content",
        lambda text: _content("user", {"text": text}),
        lambda text: _content("model", {"text": text}),
        lambda id, arguments: _content(
            "model", {"functionCall": {"id": id, "name": "look", "args": json.loads(arguments)}}
        ),
        lambda id, text: _content(
            "user", {"functionResponse": {"id": id, "name": "look", "response": {"result": text}}}
        ),
        "contents",
        "systemInstruction",
    ),
}
