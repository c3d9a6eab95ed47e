"""What chat clients and coding agents really send: whose words are remembered, where a turn ends, what is no turn."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.memory import Memory
from tests.support.provider import Answer, Provider, ToolCall
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, Proxy

TOOLS: list[Any] = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}}
MODEL = "openai/gpt-3.5-turbo-instruct"


@pytest.fixture
def memory(proxy: Proxy) -> Memory:
    return Memory(proxy)


def details(step: int) -> str:
    return f"<environment_details>\n# Time 10:41:0{step}\n# Open tabs a.js, b.js\n</environment_details>"


def test_an_agents_turn_goes_on_through_its_details_and_is_searched_with_the_task(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    proxy.ask(user, "The deploy target is host ursa.")
    client = proxy.openai(user)
    messages: list[Any] = [{"role": "user", "content": f"<task>Add a deploy script</task>\n\n{details(0)}"}]
    blocks = []
    for step in range(1, 5):
        provider.clear()
        provider.answer(Answer(tool_calls=(ToolCall(id=f"c{step}", name="read", arguments="{}"),)))
        reply = client.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=TOOLS)
        sent = provider.last.messages
        opening = next(m for m in sent if m["role"] == "user")
        blocks.append(opening["content"])
        assert all("recallr_memory" not in str(m["content"]) for m in sent if m is not opening and m["role"] == "user")
        call = reply.choices[0].message
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [c.model_dump() for c in call.tool_calls or ()]},
            {"role": "tool", "tool_call_id": f"c{step}", "content": f"file {step}"},
            {"role": "user", "content": details(step)},
        ]
    assert len(set(blocks)) == 1, "the block stays where and as it was in every step"
    assert blocks[0].endswith(messages[0]["content"]), "the model gets the client's message byte for byte"
    said = [text for role, text in memory.only(user).said if role == "user"]
    assert said == ["The deploy target is host ursa.", "Add a deploy script"]


def test_reminders_beside_tool_results_are_of_the_same_turn(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    client = proxy.anthropic(user)
    tool = {"name": "read", "input_schema": {"type": "object"}}
    opening: Any = {"role": "user", "content": "Why is the build red?"}
    provider.answer(Answer(tool_calls=(ToolCall(id="c1", name="read", arguments="{}"),)), Answer(text="A typo."))
    asked = client.messages.create(model=CLAUDE_MODEL, max_tokens=100, messages=[opening], tools=[tool])
    use = next(block for block in asked.content if block.type == "tool_use")
    answered = client.messages.create(
        model=CLAUDE_MODEL,
        max_tokens=100,
        tools=[tool],
        messages=[
            opening,
            {"role": "assistant", "content": [use.model_dump(include={"type", "id", "name", "input"})]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": use.id, "content": "typo in a.py"},
                    {"type": "text", "text": "<system-reminder>The task list was not used recently.</system-reminder>"},
                ],
            },
        ],
    )
    assert answered.content[0].type == "text"
    assert [role for role, _ in memory.only(user).said] == ["user", "assistant", "tool", "assistant"]
    assert "system-reminder" not in str(memory.only(user).said)
    assert "system-reminder" in provider.recorded[-1].body.decode(), "the model gets the reminder"


def test_of_a_codex_session_only_the_question_is_the_users(
    proxy: Proxy, provider: Provider, memory: Memory, user: str
) -> None:
    texts = (
        "# AGENTS.md instructions for /home/dev/p\n\n<INSTRUCTIONS>\nAlways use tabs.\n</INSTRUCTIONS>",
        "<environment_context>\n  <cwd>/home/dev/p</cwd>\n</environment_context>",
        "Why is the build red?",
    )
    given: Any = [{"role": "user", "content": [{"type": "input_text", "text": text}]} for text in texts]
    proxy.openai(user).responses.create(model=CHAT_MODEL, input=given)
    assert memory.only(user).texts[:1] == ["Why is the build red?"]
    assert len(memory.only(user).texts) == 2
    body = provider.recorded[-1].body.decode()
    assert "Always use tabs." in body
    assert "/home/dev/p" in body


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


TITLE = "### Task:\nGenerate a concise, 3-5 word title.\n<chat_history>\nUSER: {}\nASSISTANT: {}\n</chat_history>"
HELPERS: dict[str, dict[str, Any]] = {
    "title": {"messages": [{"role": "user", "content": TITLE}]},
    "quoted, unknown client": {
        "messages": [{"role": "user", "content": "Gib dem Gespräch einen Namen.\nUser: {}\nAssistant: {}"}]
    },
    "quota": {"messages": [{"role": "user", "content": "quota"}], "max_tokens": 1},
    "compaction behind the history": {
        "messages": [
            {"role": "user", "content": "{}"},
            {"role": "assistant", "content": "{}"},
            {"role": "user", "content": "Your task is to create a detailed summary of the conversation so far, …"},
        ]
    },
    "title with the real message": {
        "messages": [
            {"role": "system", "content": "You are a title generator. You output ONLY a thread title. Nothing else."},
            {"role": "user", "content": "Generate a title for this conversation:\n"},
            {"role": "user", "content": "{}"},
        ]
    },
}


@pytest.mark.parametrize("kind", HELPERS)
def test_calls_that_serve_the_client_leave_no_trace(
    proxy: Proxy, provider: Provider, memory: Memory, user: str, kind: str
) -> None:
    words, answer = "My favourite cheese is Gouda from Utrecht.", "That is a fine choice of cheese."
    provider.answer(Answer(text=answer))
    proxy.ask(user, words)
    before = memory.only(user)
    filled = iter([words, answer] * 2)
    request = {
        **HELPERS[kind],
        "messages": [
            {**message, "content": _filled(message["content"], filled)} for message in HELPERS[kind]["messages"]
        ],
    }
    raw = proxy.openai(user).chat.completions.with_raw_response.create(model=CHAT_MODEL, **request)
    assert raw.headers["x-recallr-memory-status"] == "off"
    assert provider.last.messages == request["messages"], "sent as it came"
    assert memory.only(user) == before, "nothing is kept, and the session is as it was"


def _filled(text: str, values: Any) -> str:
    while "{}" in text:
        text = text.replace("{}", next(values), 1)
    return text


REAL = {
    "a classifier": {
        "messages": [{"role": "user", "content": "Is this spam? Answer y or n: win a car"}],
        "max_tokens": 1,
    },
    "a transcript from elsewhere": {
        "messages": [{"role": "user", "content": "Sum it up:\nUser: The router is broken.\nAssistant: Restart it."}]
    },
    "a title that the user wants": {
        "messages": [{"role": "user", "content": "Generate a title for my poem about tides."}]
    },
}


@pytest.mark.parametrize("kind", REAL)
def test_real_turns_that_look_like_helper_calls_are_kept(proxy: Proxy, memory: Memory, user: str, kind: str) -> None:
    request: Any = REAL[kind]
    raw = proxy.openai(user).chat.completions.with_raw_response.create(model=CHAT_MODEL, **request)
    assert raw.headers["x-recallr-memory-status"] == "empty"
    assert memory.only(user).texts[0] == request["messages"][0]["content"]


@pytest.mark.parametrize(
    "request_",
    [
        {"prompt": "def add(a, b):\n    return ", "suffix": "\n\nprint(add(1, 2))"},
        {"prompt": "<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>\n<|fim_middle|>"},
        {"prompt": "<PRE> def f( <SUF> return x <MID>"},
    ],
    ids=["suffix", "Qwen", "CodeLlama"],
)
def test_code_completed_in_the_middle_is_sent_unchanged(
    proxy: Proxy, provider: Provider, memory: Memory, user: str, request_: dict[str, Any]
) -> None:
    raw = proxy.openai(user).completions.with_raw_response.create(model=MODEL, **request_)
    assert raw.headers["x-recallr-memory-status"] == "off"
    assert provider.recorded[-1].json["prompt"] == request_["prompt"]
    assert memory.sessions(user) == []
