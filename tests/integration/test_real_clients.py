"""What chat clients send that no recorded conversation has. The clients themselves: test_conversations.py."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.memory import Memory
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import CHAT_MODEL, Proxy

TOOLS: list[Any] = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}}
MODEL = "openai/gpt-3.5-turbo-instruct"


@pytest.fixture
def memory(proxy: Proxy) -> Memory:
    return Memory(proxy)


def test_a_picture_behind_tool_results_leaves_the_turn_open(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    proxy.ask(user, "The chart is about tides.")
    client = proxy.openai(user)
    provider.answer(Answer(tool_calls=(ToolCall(id="c1", name="read", arguments="{}"),)), Answer(text="Tides."))
    first: Any = [{"role": "user", "content": "What is in the chart?"}]
    asked = client.chat.completions.create(model=CHAT_MODEL, messages=first, tools=TOOLS).choices[0].message
    block = provider.last.messages[-1]["content"]
    raw = client.chat.completions.with_raw_response.create(
        model=CHAT_MODEL,
        tools=TOOLS,
        messages=[
            *first,
            {"role": "assistant", "content": None, "tool_calls": [c.model_dump() for c in asked.tool_calls or ()]},
            {"role": "tool", "tool_call_id": "c1", "content": "see the picture"},
            {"role": "user", "content": [PICTURE]},
        ],
    )
    assert raw.headers["x-recallr-memory-status"] == "ok"
    users = [message["content"] for message in provider.last.messages if message["role"] == "user"]
    assert users == [block, [PICTURE]], "the same block before the same words, the picture as it was"
    assert "chart is about tides" in block


def test_a_prompt_that_quotes_the_running_chat_leaves_no_trace(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    words, answer = "My favourite cheese is Gouda from Utrecht.", "That is a fine choice of cheese."
    provider.answer(Answer(text=answer))
    proxy.ask(user, words)
    before = memory.only(user)
    prompt = f"Gib dem Gespräch einen Namen.\nUser: {words}\nAssistant: {answer}"
    assert proxy.ask(user, prompt).memory_status == "off"
    assert provider.last.messages == [{"role": "user", "content": prompt}], "sent as it came"
    assert memory.only(user) == before, "nothing is kept, and the session is as it was"
    elsewhere = "Sum it up:\nUser: The router is broken.\nAssistant: Restart it."
    assert proxy.ask(user, elsewhere).memory_status == "ok"
    assert elsewhere in memory.only(user).texts, "a transcript from elsewhere is a real turn"


def test_code_completed_in_the_middle_is_sent_unchanged(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    prompt = "def add(a, b):\n    return "
    raw = proxy.openai(user).completions.with_raw_response.create(
        model=MODEL, prompt=prompt, suffix="\n\nprint(add(1, 2))"
    )
    assert raw.headers["x-recallr-memory-status"] == "off"
    assert provider.recorded[-1].json["prompt"] == prompt
    assert memory.sessions(user) == []
