"""What passes as if the plugin were not there, compared with a proxy without it: requests without Recallr headers, what
LiteLLM itself refuses, what is no conversation; and requests of odd shape, of which the answers are kept all the same.
"""

from __future__ import annotations

import json
import re
from typing import Any

import anthropic
import httpx
import pytest

from tests.support.memory import Memory
from tests.support.provider import Answer, Provider, Recorded
from tests.support.proxy import (
    BRIDGED_MODEL,
    CHAT_MODEL,
    CLAUDE_MODEL,
    GEMINI_MODEL,
    GEMMA_MODEL,
    OPEN_MODEL,
    SPEECH_MODEL,
    Proxy,
)

CHAT = "/v1/chat/completions"
INSTRUCT_MODEL = "openai/gpt-3.5-turbo-instruct"
CACHED = {"cache_control": {"type": "ephemeral"}}
SAID = "naïve 🦊 \u2028 \u202e שלום \x00"
TOOL_TURN = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi."}, {"type": "text", "text": "There."}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
]
MESSAGES = {
    "max_tokens": 99,
    "system": [{"type": "text", "text": "Be kind.", **CACHED}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": SAID, **CACHED}]}],
    "tools": [{"name": "time", "input_schema": {"type": "object"}, **CACHED}],
    "metadata": {"user_id": "somebody"},
}
RESPONSES = {
    "instructions": "Be kind.",
    "user": "somebody",
    "store": False,
    "input": [{"role": "user", "content": SAID}],
}
CONTENTS = {
    "contents": [{"role": "user", "parts": [{"text": SAID}]}],
    "systemInstruction": {"parts": [{"text": "One."}]},
}
ORDINARY: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {"model": CHAT_MODEL, "messages": [{"role": "user", "content": SAID}], "temperature": 0.5}),
    "chat with tools": (
        CHAT,
        {
            "model": CHAT_MODEL,
            "messages": TOOL_TURN,
            "tools": [{"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}}],
            "user": "somebody",
            "metadata": {"a": "b"},
        },
    ),
    "completions": ("/v1/completions", {"model": INSTRUCT_MODEL, "prompt": SAID}),
    "completions, bridged": ("/v1/completions", {"model": CHAT_MODEL, "prompt": SAID}),
    "responses": ("/v1/responses", {"model": CHAT_MODEL, "previous_response_id": "resp_1", **RESPONSES}),
    "responses, bridged": ("/v1/responses", {"model": BRIDGED_MODEL, **RESPONSES}),
    "messages": ("/v1/messages", {"model": CLAUDE_MODEL, **MESSAGES}),
    "messages, bridged to responses": ("/v1/messages", {"model": CHAT_MODEL, **MESSAGES}),
    "messages, bridged to chat": ("/v1/messages", {"model": OPEN_MODEL, **MESSAGES}),
    "gemini": (f"/v1beta/models/{GEMINI_MODEL}:generateContent", CONTENTS),
    "gemini, bridged": (f"/v1beta/models/{CHAT_MODEL}:generateContent", CONTENTS),
}


def without_ids(answer: httpx.Response) -> str:
    """An answer without what differs from one to the next: ids, times, numbers of tokens."""
    return re.sub(r"(msg|resp|chatcmpl|cmpl|standin)[-_][\w=-]+|\d+", "", answer.text)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("path", "body"), ORDINARY.values(), ids=ORDINARY)
def test_a_request_without_our_headers_is_served_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, path: str, body: dict[str, Any], stream: bool
) -> None:
    if stream and path.startswith("/v1beta"):
        path = path.replace(":generate", ":streamGenerate") + "?alt=sse"
    elif stream:
        body = {**body, "stream": True}

    def send_to(to: Proxy) -> tuple[Recorded, httpx.Response]:
        provider.answer(Answer(text="Grüß dich, 🦊!"))
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            answer = client.post(to.url + path, headers={"Authorization": f"Bearer {to.master_key}"}, json=body)
        assert answer.status_code == 200, answer.text
        return provider.recorded[-1], answer

    (asked, here), (plainly_asked, there) = send_to(proxy), send_to(plain_proxy)

    assert asked.body == plainly_asked.body, "the provider gets the same bytes"
    assert asked.headers.keys() == plainly_asked.headers.keys(), "and the same headers"
    assert here.headers.keys() == there.headers.keys(), "the client gets the same headers, none of ours"
    assert not [name for name in here.headers if name.startswith("x-recallr")]
    assert without_ids(here) == without_ids(there), "and the same answer"


@pytest.mark.parametrize(
    ("body", "path", "key"),
    [
        (b"{not json", CHAT, None),
        (b"[1, 2]", CHAT, None),
        (b'{"model": "gpt-4o-mini"}', "/v1/no-such-route", None),
        (b'{"model": "no-such-model", "messages": [{"role": "user", "content": "Hello."}]}', CHAT, None),
        (b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello."}]}', CHAT, "sk-wrong"),
    ],
    ids=["not JSON", "an array", "unknown route", "unknown model", "wrong LiteLLM key"],
)
def test_what_litellm_refuses_is_answered_as_without_the_plugin_and_carries_headers(
    proxy: Proxy, plain_proxy: Proxy, user: str, body: bytes, path: str, key: str | None
) -> None:
    def send_to(to: Proxy) -> httpx.Response:
        headers = to.headers(user) | {"Authorization": f"Bearer {key or to.master_key}"}
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            return client.post(to.url + path, headers=headers | {"Content-Type": "application/json"}, content=body)

    here, there = send_to(proxy), send_to(plain_proxy)

    assert here.status_code == there.status_code, f"with the plugin: {here.text}\nwithout: {there.text}"
    assert here.status_code >= 400, "this request was meant to fail"
    found = {name for name in here.headers if name.startswith("x-recallr-")}
    assert found >= {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}, found


@pytest.mark.parametrize(
    "request_body", [{"prompt": ["One.", "Two."]}, {"prompt": [[1, 2], [3]]}, {"prompt": "Say it back.", "echo": True}]
)
def test_a_completion_that_is_no_conversation_passes_with_status_off(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, request_body: dict[str, Any]
) -> None:
    proxy.ask(user, "My cat is called Felix.")
    before = Memory(proxy).only(user).said
    there = plain_proxy.openai().completions.create(model=INSTRUCT_MODEL, **request_body)
    sent = provider.recorded[-1].body
    here = proxy.openai(user).completions.with_raw_response.create(model=INSTRUCT_MODEL, **request_body)

    assert provider.recorded[-1].body == sent, "the same bytes as without the plugin"
    assert [choice.text for choice in here.parse().choices] == [choice.text for choice in there.choices]
    assert here.headers["x-recallr-memory-status"] == "off"
    assert Memory(proxy).only(user).said == before, "nothing of it is stored"


def test_tokens_are_counted_as_without_the_plugin(proxy: Proxy, plain_proxy: Proxy, user: str) -> None:
    def count(client: anthropic.Anthropic) -> Any:
        messages: list[Any] = [{"role": "user", "content": "How long is this?"}]
        return client.messages.with_raw_response.count_tokens(model=CLAUDE_MODEL, messages=messages, system="Be kind.")

    there, here, remembered = count(plain_proxy.anthropic()), count(proxy.anthropic()), count(proxy.anthropic(user))
    assert remembered.text() == here.text() == there.text()
    assert remembered.parse().input_tokens > 0
    assert remembered.headers["x-recallr-memory-status"] == "off"
    assert not Memory(proxy).user_known(user), "counting is not talking"


TEXT = "Say cheerfully: have a nice day!"
NO_PLACE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cached content": (GEMINI_MODEL, "native", {"cachedContent": "cachedContents/1"}),
    "cached content, snake case": (GEMINI_MODEL, "native", {"cached_content": "cachedContents/1"}),
    "cached content of a chat": (GEMINI_MODEL, "chat", {"cached_content": "cachedContents/1"}),
    "spoken": (GEMINI_MODEL, "native", {"generationConfig": {"responseModalities": ["AUDIO"]}}),
    "drawn": (GEMINI_MODEL, "native", {"generationConfig": {"response_modalities": ["image"]}}),
    "a model that speaks": (SPEECH_MODEL, "native", {}),
    "a chat with a model that speaks": (SPEECH_MODEL, "chat", {}),
}


@pytest.mark.parametrize(("model", "api", "fields"), NO_PLACE.values(), ids=NO_PLACE)
def test_where_memory_has_no_place_a_request_passes_as_without_the_plugin_and_its_text_is_kept(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, model: str, api: str, fields: dict[str, Any]
) -> None:
    proxy.ask(user, "My cat is called Felix.")
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": TEXT}], **fields}
    path = CHAT
    if api == "native":
        path = f"/v1beta/models/{model}:generateContent"
        body = {"contents": [{"role": "user", "parts": [{"text": TEXT}]}], **fields}

    def send_to(to: Proxy, headers: dict[str, str]) -> tuple[bytes, httpx.Response]:
        provider.answer(Answer(text="Have a nice day!"))
        headers = {"Authorization": f"Bearer {to.master_key}", **headers}
        with httpx.Client(trust_env=False, timeout=60.0) as client:
            answer = client.post(to.url + path, headers=headers, json=body)
        assert answer.status_code == 200, answer.text
        return provider.recorded[-1].body, answer

    (sent, here), (plainly_sent, there) = send_to(proxy, proxy.headers(user)), send_to(plain_proxy, {})
    assert sent == plainly_sent, "the provider gets the same bytes"
    assert without_ids(here) == without_ids(there)
    assert here.headers["x-recallr-memory-status"] == "off"
    kept = [text for session in Memory(proxy).sessions(user) for text in session.texts]
    assert "Have a nice day!" in kept, "a text that answers makes it a conversation"


def test_speech_and_pictures_are_made_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str
) -> None:
    for path, body in (
        ("/v1/audio/speech", {"model": "openai/tts-1", "input": "Have a nice day!", "voice": "alloy"}),
        ("/v1/images/generations", {"model": "openai/dall-e-3", "prompt": "A red fox."}),
    ):
        sent = []
        for to, headers in ((proxy, proxy.headers(user)), (plain_proxy, {})):
            with httpx.Client(trust_env=False, timeout=60.0) as client:
                headers = {"Authorization": f"Bearer {to.master_key}", **headers}
                answer = client.post(to.url + path, headers=headers, json=body)
            sent.append((answer.status_code, [request.body for request in provider.recorded]))
            assert answer.headers.get("x-recallr-memory-status") == ("off" if to is proxy else None)
            provider.clear()
        assert sent[0] == sent[1]
    assert not Memory(proxy).user_known(user)


def test_a_model_without_a_system_instruction_is_told_in_the_users_message(
    proxy: Proxy, provider: Provider, user: str
) -> None:
    proxy.ask(user, "My cat is called Felix.")
    with proxy.gemini(user) as client:
        client.models.generate_content(model=GEMMA_MODEL, contents="What is it called?")
    sent = provider.recorded[-1].json
    assert "systemInstruction" not in sent
    assert "system_instruction" not in sent
    texts = "".join(part["text"] for part in sent["contents"][-1]["parts"])
    assert texts.startswith("# Memory\n")
    assert texts.index("Felix") < texts.index("What is it called?")
    assert texts.endswith("What is it called?")


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}}
LAST = {"role": "user", "content": "The last word."}
ODD: dict[str, Any] = {
    "null content": [{"role": "user", "content": None}],
    "empty content": [{"role": "user", "content": ""}],
    "no parts": [{"role": "user", "content": []}],
    "text part without text": [{"role": "user", "content": [{"type": "text"}]}],
    "parts of unknown type": [{"role": "user", "content": [{"type": "smell", "smell": "roses"}]}],
    "a number as content": [{"role": "user", "content": 7}],
    "an object as content": [{"role": "user", "content": {"text": "Hi."}}],
    "unknown role": [{"role": "narrator", "content": "Once upon a time."}, LAST],
    "null role": [{"role": None, "content": "Hi."}, LAST],
    "a list as role": [{"role": ["user"], "content": "Hi."}, LAST],
    "system only": [{"role": "system", "content": "Be brief."}],
    "assistant only": [{"role": "assistant", "content": "As I said."}],
    "assistant last": [LAST, {"role": "assistant", "content": "It begins with"}],
    "tool result without call": [{"role": "tool", "tool_call_id": "call_1", "content": "noon"}],
    "tool calls of odd shape": [{"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}, LAST],
    "control characters": [{"role": "user", "content": "a\x00b\x1b[31m\u202e\ufeff\u2028c"}],
    "half a surrogate pair": [{"role": "user", "content": "\ud83e"}],
    "empty list": [],
    "null message": [None, LAST],
    "a string as messages": "Hi.",
    "null as messages": None,
}


def send(proxy: Proxy, user: str, body: dict[str, Any], *, memory: bool = True) -> httpx.Response:
    headers = {"Authorization": f"Bearer {proxy.master_key}", "Content-Type": "application/json"} | (
        proxy.headers(user) if memory else {}
    )
    content = json.dumps({"model": CHAT_MODEL, **body})  # in ASCII: what is not Unicode can be sent too
    with httpx.Client(trust_env=False, timeout=60.0) as client:
        return client.post(f"{proxy.url}/v1/chat/completions", headers=headers, content=content)


@pytest.mark.parametrize("messages", ODD.values(), ids=ODD)
def test_odd_messages_are_answered_as_without_the_plugin_and_kept(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, messages: Any
) -> None:
    provider.answer(Answer(model=CHAT_MODEL, text="Whatever you say."))
    there = send(plain_proxy, user, {"messages": messages}, memory=False)
    sent_plainly = len(provider.recorded)
    here = send(proxy, user, {"messages": messages})
    again = send(proxy, user, {"messages": messages})

    for answer in (here, again):
        assert answer.status_code == there.status_code, f"with the plugin: {answer.text}\nwithout: {there.text}"
        assert answer.headers.get("x-recallr-memory-status") in {"ok", "empty", "off"}, (
            f"the plugin had trouble with it: {answer.headers}"
        )
    assert len(provider.recorded) == 3 * sent_plainly, "it reaches the provider as it does without the plugin"
    if there.status_code == 200:
        kept = Memory(proxy).only(user)
        assert kept.said[-1] == ("assistant", "Whatever you say."), f"the answer that the client saw is kept: {kept}"


@pytest.mark.parametrize("body", [{}, {"messages": [LAST], "n": "two"}, {"messages": [LAST], "n": 0}, {
    "messages": [LAST], "tools": "none"}, {"messages": [LAST], "stream": "yes"}, {"messages": [LAST], "user": {"a": 1}},
], ids=["nothing", "n is text", "n is 0", "tools are text", "stream is text", "user is an object"])  # fmt: skip
def test_odd_fields_are_answered_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, body: dict[str, Any]
) -> None:
    there, here = send(plain_proxy, user, body, memory=False), send(proxy, user, body)

    assert here.status_code == there.status_code, f"with the plugin: {here.text}\nwithout: {there.text}"
    assert here.headers["x-recallr-memory-status"] in {"ok", "empty", "off"}, f"trouble with it: {here.headers}"
    if there.status_code == 200:
        kept = [message for session in Memory(proxy).sessions(user) for message in session.said]
        assert kept, "the exchange is kept"


@pytest.mark.parametrize(
    "raw",
    ["", "[]", "null", '"text"', "{}", '{"choices": null}', '{"choices": [{"message": null}]}', "{not json"],
    ids=["empty", "list", "null", "text", "object", "no choices", "no message", "not JSON"],
)
def test_odd_answers_reach_the_client_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, raw: str
) -> None:
    provider.answer(Answer(raw=raw), Answer(raw=raw))
    there, here = send(plain_proxy, user, {"messages": [LAST]}, memory=False), send(proxy, user, {"messages": [LAST]})

    assert here.status_code == there.status_code, f"with the plugin: {here.text}\nwithout: {there.text}"
    assert here.headers["x-recallr-memory-status"] in {"ok", "empty"}, f"trouble with it: {here.headers}"


def test_a_megabyte_of_text_is_passed_on_and_kept_whole(proxy: Proxy, provider: Provider, user: str) -> None:
    text = "".join(f"Line {number}: the 🦊 crossed the river.\n" for number in range(28_000))
    assert len(text.encode()) > 1_000_000
    provider.answer(Answer(when=" ", text="Read."))
    client = proxy.openai(user)
    answer = client.chat.completions.create(model=CHAT_MODEL, messages=[{"role": "user", "content": text}])
    assert answer.choices[0].message.content == "Read."
    assert provider.last.messages[-1]["content"] == text, "the model gets it whole"
    assert Memory(proxy).only(user).said == [("user", text), ("assistant", "Read.")]

    reply = proxy.ask(user, "What was that?")
    assert reply.memory_status == "ok"
    assert "<user excerpt" in provider.last.user_text, "too long for the budget: an excerpt is shown"
    assert len(provider.last.user_text) < 20_000
