"""Whatever an answer consists of, and wherever it can be read, what the user said is kept with it, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.memory import Memory
from tests.support.observe import metric
from tests.support.provider import Answer, Provider, ThreadedProvider
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
GARBLER = '''
"""A callback of the gateway's owner: answers about a secret reach the client in a shape that no API has."""

from litellm.integrations.custom_logger import CustomLogger


class Garbler(CustomLogger):
    async def async_post_call_success_hook(self, data, user_api_key_dict, response):
        return {"sealed": "9f8e"} if "A secret?" in str(data) else response

    async def async_post_call_streaming_iterator_hook(self, user_api_key_dict, response, request_data):
        async for chunk in response:
            yield "9f8e" if "A secret?" in str(request_data) else chunk


garbler = Garbler()
'''


@pytest.fixture
def memory(proxy: Proxy) -> Memory:
    return Memory(proxy)


@pytest.fixture(scope="module")
def garbling(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("garbling")
    (folder / "garbler.py").write_text(GARBLER)
    with Proxy(folder, running_provider, callbacks=["garbler.garbler"]) as proxy:
        yield proxy


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


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "A secret?"}]}),
        ("/v1/completions", {"model": CHAT_MODEL, "prompt": "A secret?"}),
        ("/v1/responses", {"model": CHAT_MODEL, "input": "A secret?"}),
    ],
    ids=["chat", "completions", "responses"],
)
def test_what_the_wire_does_not_show_is_stored_once_from_litellms_success_event(
    garbling: Proxy, provider: Provider, user: str, path: str, body: dict[str, Any], stream: bool
) -> None:
    provider.answer(Answer(text="The cellar key."))
    answered = post(garbling, user, path, {**body, "stream": stream})
    assert answered.status_code == 200, answered.text
    assert "cellar" not in answered.text, "the client's answer is of no known shape"

    expected = [("user", "A secret?"), ("assistant", "The cellar key.")]
    memory = Memory(garbling)
    eventually(lambda: memory.only(user).said, "the reply is there, and no memory block", until=lambda s: s == expected)
    assert post(garbling, user, "/v1/chat/completions", {"model": "none", "messages": []}).status_code >= 400
    assert memory.only(user).said == expected
    assert metric(garbling, "recallr_faults_total") == 0


def test_a_request_without_memory_is_not_stored_from_the_event(garbling: Proxy, provider: Provider, user: str) -> None:
    provider.answer(Answer(text="The cellar key."), Answer(status=400))
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "A secret?"}], "stream": False}
    keys = {"Authorization": f"Bearer {garbling.master_key}", **garbling.headers(user, memory="off")}
    url = f"{garbling.url}/v1/chat/completions"
    assert httpx.post(url, headers=keys, json=body, trust_env=False, timeout=60.0).status_code == 200
    assert post(garbling, user, "/v1/chat/completions", body).status_code == 400, "and nothing of a failed call"
    provider.answer(Answer(text="Hello."))
    garbling.ask(user, "Hi.")
    assert Memory(garbling).only(user).said == [("user", "Hi."), ("assistant", "Hello.")]
