"""Memory through Anthropic's Messages API and SDK: to Anthropic's own API, and to models that LiteLLM bridges."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import anthropic
import httpx
import pytest

from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, Recorded, ToolCall
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, OPEN_MODEL, Proxy

NATIVE = CLAUDE_MODEL
"""Behind it Anthropic's API: LiteLLM passes requests and answers on."""
TO_RESPONSES = CHAT_MODEL
"""OpenAI's, where LiteLLM translates into the Responses API."""
TO_CHAT = OPEN_MODEL
"""Of a provider for which LiteLLM translates into chat completions."""
MODELS = pytest.mark.parametrize("model", [NATIVE, TO_RESPONSES, TO_CHAT], ids=["native", "to responses", "to chat"])
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])

OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
"""How the instructions begin."""
ALWAYS = {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}
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


def check(headers: Mapping[str, str], names: set[str], *, status: str) -> None:
    """Check that a response has exactly these Recallr headers."""
    found = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-recallr-")}
    assert set(found) == names, f"the Recallr headers of the response are {found}"
    assert found["x-recallr-memory-status"] == status, found


@STREAMED
@MODELS
def test_a_history_sent_back_as_the_sdk_gave_it_is_stored_once(
    gateway: Proxy, provider: Provider, memory: Memory, user: str, model: str, stream: bool
) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}} if model == NATIVE else {}
    history: list[Any] = []
    for question, answer in (("My cat is Felix.", "Nice."), ("Yes.", "Good."), ("Yes.", "Nice.")):
        provider.answer(Answer(text=answer))
        history.append(user_says(question))
        reply = ask(gateway, user, model, history, stream=stream, system="Be brief.", **thinking)
        history.append(assistant_says(reply.content))
        kinds = [block.type for block in reply.content]
        assert kinds == (["thinking", "text"] if thinking else ["text"]), "the client gets all that the model answered"

    assert memory.only(user).said == [
        *[("user", "My cat is Felix."), ("assistant", "Nice.")],
        *[("user", "Yes."), ("assistant", "Good."), ("user", "Yes."), ("assistant", "Nice.")],
    ], "each once and in order; the system prompt and what the model thought are not stored"


def test_words_beside_tool_results_are_a_turn_of_their_own(gateway: Proxy, provider: Provider, user: str) -> None:
    ask(gateway, user, NATIVE, "I live in Oslo and dislike rain.")
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sunny"}], **CACHED}
    words = {"type": "text", "text": "And where I live?"}
    messages = [user_says("The weather?"), assistant_says([use]), user_says([result, words])]
    ask(gateway, user, NATIVE, messages, tools=TOOLS)

    assert last(provider).messages[:2] == messages[:2]
    shown, said, block = last(provider).messages[2]["content"]
    assert shown == result, "nothing stands between a call and its result"
    assert said == words
    assert "Oslo" in parted(block["text"])[0], "behind what the client has cached"


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


@MODELS
def test_an_image_reaches_a_model_behind_a_bridge_behind_the_block(
    gateway: Proxy, provider: Provider, user: str, model: str
) -> None:
    ask(gateway, user, model, "My cat is called Felix.")
    ask(gateway, user, model, [user_says([IMAGE, {"type": "text", "text": "Who is this?"}])])

    body = last(provider).body
    places = [body.index(part) for part in (OPENING.encode(), b"R0lGODlhAQABAAAAACwAAAAAAQABAAA=", b"Who is this?")]
    assert places == sorted(places), "block, image and words stand in this order"


def refusal(gateway: Proxy, user: str | None, *, stream: bool, **options: object) -> anthropic.APIStatusError:
    """The exception with which the SDK reports that a request with these headers is refused."""
    with pytest.raises(anthropic.APIStatusError) as refused:
        ask(gateway, user, NATIVE, f"Hello from {user}.", stream=stream, options=options)
    return refused.value


def error_of(exception: anthropic.APIStatusError) -> dict[str, Any]:
    """The error object of an answer. Fails the test if it is not in the shape of Anthropic's."""
    body: Any = exception.response.json()
    assert body.keys() >= {"type", "error"}, f"this is not Anthropic's shape: {body}"
    assert body["type"] == "error", body
    assert isinstance(body["error"]["message"], str), body
    error: dict[str, Any] = body["error"]
    return error


def test_the_user_may_be_named_in_the_metadata(gateway: Proxy, provider: Provider, memory: Memory, user: str) -> None:
    options = {"allow_new_user_creation": True}
    ask(gateway, None, NATIVE, "My cat is Felix.", options=options, metadata={"user_id": user})
    reply = ask(gateway, user, NATIVE, "My dog is Rex.", metadata={"user_id": f"other-{user}"})

    assert reply.headers["x-recallr-user-id"] == user
    assert [text for role, text in memory.only(user).said if role == "user"] == ["My cat is Felix.", "My dog is Rex."]
    assert not memory.user_known(f"other-{user}"), "the header wins, and nobody is made of the id in the body"
    assert last(provider).json["metadata"] == {"user_id": f"other-{user}"}, "the field is the client's business"
    refused = refusal(gateway, None, stream=False, **options)
    assert "X-Recallr-User-Id: is required" in error_of(refused)["message"]


def post(gateway: Proxy, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """A request as plain HTTP, for what no SDK sends and for the bytes of the answer."""
    sent = {"x-api-key": gateway.master_key, "content-type": "application/json", **(headers or {})}
    content = json.dumps(body)  # in ASCII: what is not Unicode can be sent too
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        return client.post(f"{gateway.url}/v1/messages", headers=sent, content=content)


@STREAMED
@MODELS
def test_a_request_without_recallr_headers_passes_as_if_the_plugin_were_not_there(
    gateway: Proxy, plain: Proxy, provider: Provider, user: str, model: str, stream: bool
) -> None:
    ask(gateway, user, model, "My cat is Felix.")
    provider.clear()
    provider.answer(*[Answer(text="Grüß dich, 🦊!", tool_calls=(ToolCall(name="weather", id="toolu_1"),))] * 3)
    body = {
        **{"model": model, "max_tokens": 99, "stream": stream, "tools": TOOLS, "metadata": {"user_id": user}},
        "system": [{"type": "text", "text": "Be kind.", **CACHED}],
        "messages": [
            user_says("Hi."),
            assistant_says("Hello."),
            user_says([{"type": "text", "text": "Cat?", **CACHED}]),
        ],
    }
    here, there = post(gateway, body), post(plain, body)
    remembered = post(gateway, body, gateway.headers(user))

    first, second, _ = provider.recorded
    assert first.body == second.body, "the provider gets the same bytes"
    assert not [name for name in here.headers if name.startswith("x-recallr")]
    assert here.status_code == there.status_code == 200

    def without_ids(answer: httpx.Response) -> bytes:
        return re.sub(rb"(msg|resp|chatcmpl)[-_][\w=-]+|\d+", b"", answer.content)

    assert without_ids(here) == without_ids(there), "the client gets the same bytes, but for ids and token counts"
    assert without_ids(remembered) == without_ids(there), "so it does when memory is at work"
    assert remembered.headers["x-recallr-memory-status"] == "ok"


def test_tokens_are_counted_as_without_the_plugin(gateway: Proxy, plain: Proxy, user: str) -> None:
    def count(client: anthropic.Anthropic) -> Any:
        messages: list[Any] = [user_says("How long is this?")]
        return client.messages.with_raw_response.count_tokens(model=NATIVE, messages=messages, system="Be kind.")

    there, here, remembered = count(plain.anthropic()), count(gateway.anthropic()), count(gateway.anthropic(user))
    assert remembered.text() == here.text() == there.text()
    assert remembered.parse().input_tokens > 0
    check(remembered.headers, ALWAYS, status="off")
    assert not Memory(gateway).user_known(user), "counting is not talking"
