"""Memory through Anthropic's Messages API and SDK: what stays byte for byte as the client sent it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from tests.support.memory import remember
from tests.support.provider import Provider
from tests.support.proxy import CLAUDE_MODEL, Proxy
from tests.support.shown import leading_block

INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
"""How the instructions begin."""
CACHED = {"cache_control": {"type": "ephemeral"}}
TOOLS: list[Any] = [
    {"name": "weather", "description": "In a city — today.", "input_schema": {"type": "object"}, **CACHED}
]


def text_block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def user_says(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def ask(proxy: Proxy, user: str, messages: Any, **body: Any) -> str:
    """One request through the SDK; the text of its answer."""
    with proxy.anthropic(user) as client:
        message = client.messages.create(model=CLAUDE_MODEL, max_tokens=2000, messages=messages, **body)
    return "".join(block.text for block in message.content if block.type == "text")


def test_all_that_was_sent_stays_byte_identical_behind_the_clients_cache_markers(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    remember(proxy, user, "My cat Felix loves the sea; I am allergic to shellfish.")
    provider.clear()
    system = [text_block("You are a travel agent. Ünïcode 🦊."), text_block("Rules.", **CACHED)]
    history: list[Any] = []
    sent: list[list[Any]] = []
    for text in ("Where could I go with my cat?", "And what — naïvely 🦐 — can I eat there?", "Any shellfish?"):
        history.append(user_says(text_block("The date is set."), text_block(text, **CACHED)))
        sent.append(list(history))
        answer = ask(proxy, user, history, tools=TOOLS, system=system)
        history.append({"role": "assistant", "content": [text_block(answer)]})

    turns = provider.recorded
    assert "Felix" in leading_block(turns[0].messages[0]["content"][-1]["text"])[0]
    for turn, messages in zip(turns, sent, strict=True):
        for shown, said in zip(turn.messages, messages, strict=True):
            assert shown["content"][: len(said["content"])] == said["content"], "the client's own blocks come first"
            for block in shown["content"][len(said["content"]) :]:
                assert leading_block(block["text"])[1] == ""
                assert block.keys() == {"type", "text"}, "without a cache marker: there may be four in all"
        *own, instructions = turn.json["system"]
        assert own == system, "the client's system blocks, markers included"
        assert instructions["text"].startswith(INSTRUCTIONS)
        assert instructions.keys() == {"type", "text"}
        assert turn.json["tools"] == TOOLS
    for earlier, later in pairwise(turns):
        assert json.dumps(later.messages[: len(earlier.messages)]) == json.dumps(earlier.messages)
        for part in ("system", "tools"):
            assert json.dumps(later.json[part]) == json.dumps(earlier.json[part]), f"{part}: the same in every turn"
