"""Memory through Anthropic's Messages API and SDK: to Anthropic's own API, and to models that LiteLLM bridges."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import anthropic
import httpx
import pytest

from tests.support.memory import SHORT, Memory
from tests.support.provider import Provider, Recorded
from tests.support.proxy import CLAUDE_MODEL, Proxy

NATIVE = CLAUDE_MODEL
"""Behind it Anthropic's API: LiteLLM passes requests and answers on."""

OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
"""How the instructions begin."""
CACHED = {"cache_control": {"type": "ephemeral"}}
TOOLS: list[Any] = [
    {"name": "weather", "description": "In a city — today.", "input_schema": {"type": "object"}, **CACHED}
]
IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/gif", "data": "R0lGODlhAQABAAAAACwAAAAAAQABAAA="},
}
DOCUMENT = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "A tale."},
    "title": "Tale",
    "citations": {"enabled": True},
}
THINKING = {"type": "thinking", "thinking": "Hm, a cat.", "signature": "c2lnbmF0dXJl"}


@pytest.fixture(scope="module")
def gateway(proxy: Proxy) -> Proxy:
    return proxy


@pytest.fixture(scope="module")
def plain(plain_proxy: Proxy) -> Proxy:
    """The same gateway without the plugin."""
    return plain_proxy


@pytest.fixture
def memory(gateway: Proxy) -> Memory:
    return Memory(gateway)


@dataclass(frozen=True)
class Asked:
    """What the SDK makes of an answer."""

    content: Sequence[anthropic.types.ContentBlock]
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return "".join(block.text for block in self.content if block.type == "text")


def user_says(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant_says(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def ask(
    gateway: Proxy,
    user: str | None,
    model: str,
    messages: str | Sequence[Any],
    *,
    stream: bool = False,
    options: Mapping[str, object] | None = None,
    **body: Any,
) -> Asked:
    """One request through the SDK. A string is the user's message; `options` are Recallr headers."""
    turns: Any = [user_says(messages)] if isinstance(messages, str) else list(messages)
    with gateway.anthropic(user, **(options or {})) as client:
        if stream:
            with client.messages.stream(model=model, max_tokens=2000, messages=turns, **body) as events:
                return Asked(events.get_final_message().content, events.response.headers)
        raw = client.messages.with_raw_response.create(model=model, max_tokens=2000, messages=turns, **body)
        return Asked(raw.parse().content, raw.headers)


def remember(gateway: Proxy, user: str, model: str, text: str) -> None:
    """Let the user say this in a session that is over and processed."""
    first = ask(gateway, user, model, text, options={"session_timeout_seconds": SHORT})
    Memory(gateway).wait_processed(user, first.headers["x-recallr-session-id"])


def parted(text: str) -> tuple[str, str]:
    """The memory block at the start of a message, and the words after it. Fails the test if there is none."""
    assert text.startswith(OPENING), f"the message should begin with the memory block: {text!r}"
    block, closing, words = text.partition(CLOSING)
    return block + closing, words.strip()


def last(provider: Provider) -> Recorded:
    """The request that reached the provider last. Fails the test if there was none."""
    assert provider.recorded, "no request has reached the provider"
    return provider.recorded[-1]


def test_all_before_the_last_user_message_is_byte_identical_and_cache_markers_stay(
    gateway: Proxy, provider: Provider, user: str
) -> None:
    remember(gateway, user, NATIVE, "My cat Felix loves the sea; I am allergic to shellfish.")
    provider.clear()
    system = [
        {"type": "text", "text": "You are a travel agent. Ünïcode 🦊."},
        {"type": "text", "text": "Rules.", **CACHED},
    ]
    history: list[Any] = []
    sent: list[list[Any]] = []
    for text in ("Where could I go with my cat?", "And what — naïvely 🦐 — can I eat there?", "Any shellfish?"):
        blocks = [{"type": "text", "text": "The date is set."}, {"type": "text", "text": text, **CACHED}]
        history.append(user_says(blocks))
        sent.append(list(history))
        reply = ask(gateway, user, NATIVE, history, tools=TOOLS, system=system)
        history.append(assistant_says([{"type": "text", "text": reply.text}]))

    turns = provider.recorded
    for turn, messages in zip(turns, sent, strict=True):
        assert turn.messages[:-1] == messages[:-1], "history is what the client sent, without any block"
        *own, block = turn.messages[-1]["content"]
        assert "Felix" in parted(block["text"])[0], "every turn has its memory"
        assert block.keys() == {"type", "text"}, "without a cache marker: there may be four in all"
        assert own == messages[-1]["content"], "the user's own blocks come first: the next turn finds them in the cache"
        *own, instructions = turn.json["system"]
        assert own == system, "the client's system blocks, markers included"
        assert instructions["text"].startswith(INSTRUCTIONS)
        assert instructions.keys() == {"type", "text"}
        assert turn.json["tools"] == TOOLS
    for earlier, later in pairwise(turns):
        block_at = earlier.body.rindex(b"{", 0, earlier.body.index(OPENING.encode()))
        start = len(earlier.body[:block_at].rstrip(b", "))
        assert later.body[:start] == earlier.body[:start], (
            "up to the block, the next turn's messages are the same bytes"
        )
        for part in ("system", "tools"):
            assert json.dumps(later.json[part]) == json.dumps(earlier.json[part]), f"{part}: the same in every turn"


def test_thinking_images_and_documents_are_untouched(gateway: Proxy, provider: Provider, user: str) -> None:
    ask(gateway, user, NATIVE, "My cat is called Felix.")
    redacted = {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"}
    messages = [
        user_says([IMAGE, {"type": "text", "text": "Who is this?"}]),
        assistant_says([THINKING, redacted, {"type": "text", "text": "A cat."}]),
        user_says([DOCUMENT, IMAGE, {"type": "text", "text": "And in this?"}]),
    ]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    ask(gateway, user, NATIVE, messages, thinking=thinking)
    assert last(provider).messages[:2] == messages[:2]
    block, *rest = last(provider).messages[2]["content"]
    assert rest == messages[2]["content"]
    assert "Felix" in parted(block["text"])[0]
    assert last(provider).json["thinking"] == thinking

    ask(gateway, user, NATIVE, [user_says([IMAGE])])
    block, *rest = last(provider).messages[0]["content"]
    assert rest == [IMAGE], "an image alone is a message too"
    parted(block["text"])


def post(gateway: Proxy, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """A request as plain HTTP, for what no SDK sends and for the bytes of the answer."""
    sent = {"x-api-key": gateway.master_key, "content-type": "application/json", **(headers or {})}
    content = json.dumps(body)  # in ASCII: what is not Unicode can be sent too
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        return client.post(f"{gateway.url}/v1/messages", headers=sent, content=content)
