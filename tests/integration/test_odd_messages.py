"""Requests of odd shape: answered as by a proxy without the plugin, and what was answered is kept."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.memory import Memory
from tests.support.provider import Answer, Provider
from tests.support.proxy import CHAT_MODEL, Proxy

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="}}
LAST = {"role": "user", "content": "The last word."}
ODD: dict[str, Any] = {
    "null content": [{"role": "user", "content": None}],
    "no content": [{"role": "user"}],
    "empty content": [{"role": "user", "content": ""}],
    "blank content": [{"role": "user", "content": " \n\t"}],
    "no parts": [{"role": "user", "content": []}],
    "null among parts": [{"role": "user", "content": [None, {"type": "text", "text": "Hi."}]}],
    "text part without text": [{"role": "user", "content": [{"type": "text"}]}],
    "parts of unknown type": [{"role": "user", "content": [{"type": "smell", "smell": "roses"}]}],
    "strings as parts": [{"role": "user", "content": ["Hi.", "There."]}],
    "a number as content": [{"role": "user", "content": 7}],
    "an object as content": [{"role": "user", "content": {"text": "Hi."}}],
    "images only": [{"role": "user", "content": [IMAGE, IMAGE]}],
    "unknown role": [{"role": "narrator", "content": "Once upon a time."}, LAST],
    "no role": [{"content": "Hi."}, LAST],
    "null role": [{"role": None, "content": "Hi."}, LAST],
    "a list as role": [{"role": ["user"], "content": "Hi."}, LAST],
    "system only": [{"role": "system", "content": "Be brief."}],
    "assistant only": [{"role": "assistant", "content": "As I said."}],
    "assistant last": [LAST, {"role": "assistant", "content": "It begins with"}],
    "null assistant": [{"role": "assistant", "content": None}, LAST],
    "tool result without call": [{"role": "tool", "tool_call_id": "call_1", "content": "noon"}],
    "tool calls of odd shape": [{"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}, LAST],
    "a function's result": [{"role": "function", "name": "time", "content": "noon"}, LAST],
    "two users in a row": [{"role": "user", "content": "One."}, LAST],
    "control characters": [{"role": "user", "content": "a\x00b\x1b[31m\u202e\ufeff\u2028c"}],
    "half a surrogate pair": [{"role": "user", "content": "\ud83e"}],
    "empty list": [],
    "null message": [None, LAST],
    "a string as message": ["Hi."],
    "a string as messages": "Hi.",
    "null as messages": None,
    "an object as messages": {"role": "user", "content": "Hi."},
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
