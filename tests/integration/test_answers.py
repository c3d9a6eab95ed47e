"""Whatever an answer consists of, and wherever it can be read, what the user said is kept with it, once."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.memory import Memory
from tests.support.provider import Answer, Provider
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, GEMINI_MODEL, Proxy
from tests.support.waiting import eventually

ASKED = "When does my train leave?"
PICTURE = {"type": "image_url", "index": 0, "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TRANSCRIPT = "Your train leaves at nine."
MESSAGES: dict[str, tuple[list[dict[str, Any]], str, tuple[str, ...]]] = {
    "audio": (
        [
            {"content": None, "audio": {"id": "audio_1", "expires_at": 1, "data": "UklG", "transcript": "Your train "}},
            {"audio": {"id": "audio_1", "data": "Rg==", "transcript": "leaves at nine."}},
        ],
        TRANSCRIPT,
        (),
    ),
    "pictures": ([{"content": "", "images": [PICTURE]}], "", ("image_url",)),
    "refusal": ([{"content": None, "refusal": "I cannot say."}], "I cannot say.", ()),
    "thinking": ([{"content": None, "reasoning_content": "Hm. "}, {"reasoning_content": "Well."}], "", ()),
    "nothing": ([{"content": ""}], "", ()),
}
"""What comes in place of a text: the deltas of a stream, and what is kept of them."""


@pytest.fixture
def memory(proxy: Proxy) -> Memory:
    return Memory(proxy)


def post(proxy: Proxy, user: str, path: str, body: dict[str, Any]) -> httpx.Response:
    """A request without an SDK, as of clients that only the paths are known of."""
    keys = {"Authorization": f"Bearer {proxy.master_key}", "x-goog-api-key": proxy.master_key}
    return httpx.post(proxy.url + path, headers=proxy.headers(user) | keys, json=body, trust_env=False, timeout=60.0)


def sent_by(deltas: list[dict[str, Any]], *, stream: bool) -> Answer:
    """The provider's answer that consists of these deltas."""
    head = {"id": "chatcmpl-1", "created": 1, "model": CHAT_MODEL}
    if stream:
        events = [{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None} for delta in deltas]
        events.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        chunks = [{**head, "object": "chat.completion.chunk", "choices": [event]} for event in events]
        lines = [*(json.dumps(chunk) for chunk in chunks), "[DONE]"]
        raw = "".join(f"data: {line}\n\n" for line in lines)
        return Answer(raw=raw, headers={"content-type": "text/event-stream"})
    message: dict[str, Any] = {"role": "assistant"}
    for delta in deltas:
        for name, value in delta.items():
            if isinstance(value, dict):
                said = message.get(name, {})
                value = {**said, **value, "transcript": said.get("transcript", "") + value["transcript"]}
            message[name] = message[name] + value if isinstance(value, str) and name in message else value
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Answer(raw=json.dumps({**head, "object": "chat.completion", "choices": [choice]}))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", MESSAGES)
def test_the_users_words_are_kept_whatever_the_answer_consists_of(
    proxy: Proxy, provider: Provider, memory: Memory, user: str, kind: str, stream: bool
) -> None:
    deltas, text, attachments = MESSAGES[kind]
    provider.answer(sent_by(deltas, stream=stream))
    proxy.ask(user, ASKED, stream=stream)

    asked, *replies = [stored.message for stored in eventually(lambda: memory.sessions(user), "kept")[0].messages]
    assert (asked.role, asked.text) == ("user", ASKED)
    assert [(reply.text, reply.attachments) for reply in replies] == (
        [(text, attachments)] if text or attachments else []
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/cursor/chat/completions", {"model": CHAT_MODEL, "input": [{"role": "user", "content": ASKED}]}),
        ("/cursor/chat/completions", {"model": CHAT_MODEL, "messages": [{"role": "user", "content": ASKED}]}),
        (f"/engines/{CHAT_MODEL}/chat/completions", {"messages": [{"role": "user", "content": ASKED}]}),
        (f"/openai/deployments/{CHAT_MODEL}/chat/completions", {"messages": [{"role": "user", "content": ASKED}]}),
        (f"/engines/{CHAT_MODEL}/completions", {"prompt": ASKED}),
        ("/openai/v1/responses", {"model": CHAT_MODEL, "input": ASKED}),
        ("/v1/messages", {"model": CHAT_MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": ASKED}]}),
        ("/v1/chat/completions", {"model": CLAUDE_MODEL, "messages": [{"role": "user", "content": ASKED}]}),
        ("/v1/chat/completions", {"model": GEMINI_MODEL, "messages": [{"role": "user", "content": ASKED}]}),
    ],
    ids=lambda value: value.replace("/", "-") if isinstance(value, str) else "-".join(value),
)
def test_an_answer_is_read_by_its_own_shape_at_any_endpoint(
    proxy: Proxy, provider: Provider, memory: Memory, user: str, path: str, body: dict[str, Any], stream: bool
) -> None:
    provider.answer(Answer(text="At nine."))
    answered = post(proxy, user, path, {**body, "stream": stream})
    assert answered.status_code == 200, answered.text
    assert memory.only(user).said == [("user", ASKED), ("assistant", "At nine.")]
