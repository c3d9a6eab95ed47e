"""Where memory and instructions stand in what the provider gets, and what stays byte-identical around them."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.support.memory import remember
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.shown import leading_block

SYSTEM: ChatCompletionMessageParam = {"role": "system", "content": "You are a travel agent. Ünïcode 🦊."}
TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city — today.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def ask(proxy: Proxy, user: str, messages: list[Any], *, tools: bool = False, **options: object) -> Any:
    """One request through the SDK; the answer's first message."""
    client = proxy.openai(user, **options)
    extra = {"tools": TOOLS} if tools else {}
    return client.chat.completions.create(model=CHAT_MODEL, messages=messages, **extra).choices[0].message


def test_instructions_can_be_turned_off(proxy: Proxy, provider: Provider, user: str) -> None:
    proxy.ask(user, "My cat is called Felix.")
    proxy.ask(user, SYSTEM, "What is my cat called?", include_system_prompt=False)

    *before, last = provider.last.messages
    assert before == [SYSTEM], "the client's system message as it was, and no other"
    assert "Felix" in leading_block(last["content"])[0], "memory comes all the same"


def test_agentic_recall_without_a_model_is_a_balanced_one(proxy: Proxy, provider: Provider, user: str) -> None:
    remember(proxy, user, "My cat is called Felix.")
    reply = proxy.ask(user, "What is my cat called?", recall_strategy="agentic")
    assert reply.memory_status == "degraded; reason=agent"
    assert "Felix" in leading_block(provider.last.user_text)[0]


def test_all_that_was_sent_is_the_beginning_of_what_is_sent_next_byte_for_byte(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    remember(proxy, user, "My cat Felix loves the sea.", "I am allergic to shellfish.")
    history: list[Any] = [SYSTEM]
    for text in ("Where could I go with my cat?", "And what — naïvely 🦐 — can I eat there?", "Any shellfish?"):
        history.append({"role": "user", "content": text})
        message = ask(proxy, user, history, tools=True)
        history.append({"role": "assistant", "content": message.content})

    turns = provider.recorded[-3:]
    assert "Felix" in leading_block(turns[0].user_text)[0]
    for earlier, later, end in zip(turns, turns[1:], (b"with my cat?", b"I eat there?"), strict=False):
        assert later.body.startswith(earlier.body[: earlier.body.rindex(end)]), "the same bytes"
        assert json.dumps(later.messages[: len(earlier.messages)]) == json.dumps(earlier.messages)
    words = [message["content"].rpartition("\n\n")[2] for message in turns[-1].messages[1:]]
    assert words == [message["content"].rpartition("\n\n")[2] for message in history[1:-1]]
    tools = {turn.body[turn.body.index(b'"tools"') :].partition(b"}}}]")[0] for turn in turns}
    assert len(tools) == 1, f"the tools are the same bytes in every turn, not {tools}"
    assert [json.loads(turn.body)["tools"] for turn in turns] == [TOOLS] * 3


def test_a_tool_turn_without_memory_stays_without(proxy: Proxy, provider: Provider, user: str) -> None:
    provider.answer(Answer(tool_calls=(ToolCall(name="weather"),)))
    messages: list[Any] = [{"role": "user", "content": "Is it raining?"}]
    message = ask(proxy, user, messages, tools=True, include_system_prompt=False)
    messages.append(message.model_dump(include={"role", "tool_calls"}))
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "no"})
    ask(proxy, user, messages, tools=True, include_system_prompt=False)

    assert provider.last.messages == messages
