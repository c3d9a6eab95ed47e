"""The harness itself: what a test sees of the provider and the proxy is what really went over the wire."""

from __future__ import annotations

import asyncio
import base64
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.conftest import StartProxy
from tests.support.process import StartFailed
from tests.support.provider import Answer, Provider, ProviderProcess, ToolCall
from tests.support.proxy import CHAT_MODEL, EMBEDDING_MODEL, Proxy
from tests.support.waiting import eventually

HELLO: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello there."},
]


def direct(provider: Provider) -> openai.OpenAI:
    """The SDK on the provider itself, no gateway in between."""
    return openai.OpenAI(base_url=provider.base_url, api_key="sk-direct", max_retries=0)


def say(provider: Provider, text: str) -> str | None:
    reply = direct(provider).chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    return reply.choices[0].message.content


def test_whole_answer_through_the_proxy(plain_proxy: Proxy, provider: Provider) -> None:
    provider.answer(Answer(text="Good morning."))

    reply = plain_proxy.openai().chat.completions.create(model=CHAT_MODEL, messages=HELLO, temperature=0.5)

    assert reply.choices[0].message.content == "Good morning.", "the client reads what the test scripted"
    assert provider.last.messages == HELLO, "without the plugin the provider is sent the client's own messages"
    assert provider.last.json["temperature"] == 0.5
    assert provider.last.headers["authorization"] == "Bearer sk-of-the-provider", "the gateway uses its own key"


def test_streamed_answer_through_the_proxy(plain_proxy: Proxy, provider: Provider) -> None:
    provider.answer(Answer(text="one two three four", chunks=4))

    stream = plain_proxy.openai().chat.completions.create(model="openai/gpt-x", messages=HELLO, stream=True)
    pieces = [chunk.choices[0].delta.content for chunk in stream if chunk.choices and chunk.choices[0].delta.content]

    assert "".join(pieces) == "one two three four"
    assert len(pieces) == 4, "the chunks arrive one by one, not joined"
    assert provider.last.model == "gpt-x"
    assert provider.last.json["stream"] is True
    assert provider.last.messages == HELLO


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_asking_in_one_line(plain_proxy: Proxy, provider: Provider, user: str, stream: bool) -> None:
    provider.answer(Answer(text="A lovely name."))

    reply = plain_proxy.ask(user, *HELLO[:1], "My cat is called Felix.", stream=stream)

    assert reply.text == "A lovely name."
    assert reply.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    assert provider.last.messages == [*HELLO[:1], {"role": "user", "content": "My cat is called Felix."}]


def test_the_recorded_body_is_what_the_sdk_sent(provider: Provider) -> None:
    sent: list[bytes] = []
    http_client = httpx.Client(event_hooks={"request": [lambda request: sent.append(request.read())]})
    client = openai.OpenAI(base_url=provider.base_url, api_key="sk-direct", http_client=http_client)

    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "naïve 🦊 \u2028"}])

    assert [request.body for request in provider.recorded] == sent, "byte for byte"
    assert provider.last.headers["authorization"] == "Bearer sk-direct"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_scripted_errors_are_the_sdks_exceptions(
    plain_proxy: Proxy, provider: Provider, status: int, error: type[openai.APIStatusError], stream: bool
) -> None:
    provider.answer(Answer(status=status, message="No such luck."))

    with pytest.raises(error, match="No such luck"):
        plain_proxy.openai().chat.completions.create(model=CHAT_MODEL, messages=HELLO, stream=stream)

    assert len(provider.chats()) == 1, "one scripted error is one error: nobody retried"
    reply = plain_proxy.openai().chat.completions.create(model=CHAT_MODEL, messages=HELLO)
    assert reply.choices[0].message.content, "and the next request is served: no cooldown"


def test_a_connection_dropped_in_mid_stream_raises(plain_proxy: Proxy, provider: Provider) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2))
    stream = plain_proxy.openai().chat.completions.create(model=CHAT_MODEL, messages=HELLO, stream=True)
    received = ""
    while received != "one two":
        received += next(stream).choices[0].delta.content or ""

    provider.drop()

    with pytest.raises(openai.APIError):
        next(stream)


def test_a_stream_can_be_held_and_released(plain_proxy: Proxy, provider: Provider) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2))
    stream = plain_proxy.openai().chat.completions.create(model=CHAT_MODEL, messages=HELLO, stream=True)
    received = ""
    while received != "one two":
        received += next(stream).choices[0].delta.content or ""

    provider.release()

    rest = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(rest) == " three four"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_drop_at_the_provider_is_a_broken_connection(provider: Provider, stream: bool) -> None:
    provider.answer(Answer(text="one two three four", drop_after=2))

    with pytest.raises((httpx.RemoteProtocolError, openai.APIConnectionError)):
        list(direct(provider).chat.completions.create(model="m", messages=HELLO, stream=stream))


def test_a_hanging_answer_holds_up_nobody_else_and_ends_when_its_client_goes(provider: Provider) -> None:
    provider.answer(Answer(when="hang", hang=True), Answer(when="wait", text="At last.", hang=True))

    with pytest.raises(openai.APITimeoutError):
        direct(provider).with_options(timeout=0.5).chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hang"}]
        )
    eventually(lambda: provider.hanging == 0, "the request of the client that has gone is over")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(say, provider, "wait")
        provider.wait_for_chats(1, "wait")
        assert say(provider, "quick"), "others are served meanwhile"
        provider.release()
        assert waiting.result() == "At last."


async def test_rules_script_concurrent_requests_whatever_their_order(plain_proxy: Proxy, provider: Provider) -> None:
    numbers = range(8)
    provider.answer(*[Answer(when=f"question {n}.", text=f"answer {n}", delay=0.01 * (8 - n)) for n in numbers])

    async with plain_proxy.async_openai() as client:
        replies = await asyncio.gather(
            *[
                client.chat.completions.create(
                    model=CHAT_MODEL, messages=[{"role": "user", "content": f"This is question {n}."}]
                )
                for n in numbers
            ]
        )

    assert [reply.choices[0].message.content for reply in replies] == [f"answer {n}" for n in numbers]


def test_the_rule_for_the_users_own_words_wins_over_one_for_a_quoted_earlier_message(provider: Provider) -> None:
    provider.answer(Answer(when="second", text="B"), Answer(when="first", text="A", times=1))
    quoting = "<memory>the first question</memory>\nthe second question"

    replies = [say(provider, text) for text in (quoting, "the first question", quoting, "the first question")]

    assert replies == ["B", "A", "B", 'You said: "the first question".'], "and the rule for one request is used up"


def test_queued_answers_are_used_once_each_and_in_order(provider: Provider) -> None:
    provider.answer(Answer(text="A"), Answer(text="B"))

    replies = [say(provider, "a block of memory\nand my own words") for _ in range(3)]

    assert replies == ["A", "B", 'You said: "and my own words".'], "then the default, which quotes the last line only"


def test_tool_calls_whole_and_streamed(provider: Provider) -> None:
    call = ToolCall(name="weather", arguments='{"city": "Oslo"}', id="call_1")
    expected = ("call_1", "weather", '{"city": "Oslo"}')
    provider.answer(Answer(tool_calls=(call,)), Answer(tool_calls=(call,)))
    client = direct(provider)

    whole = client.chat.completions.create(model="m", messages=HELLO).choices[0]
    with client.chat.completions.stream(model="m", messages=HELLO) as stream:
        streamed = stream.get_final_completion().choices[0]

    for choice in (whole, streamed):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        assert choice.message.tool_calls is not None
        [received] = choice.message.tool_calls
        assert received.type == "function"
        assert (received.id, received.function.name, received.function.arguments) == expected


def test_several_choices_whole_and_streamed(provider: Provider) -> None:
    provider.answer(Answer(choices=("red", "green and blue")), Answer(choices=("red", "green and blue")))
    client = direct(provider)

    whole = client.chat.completions.create(model="m", messages=HELLO, n=2)
    with client.chat.completions.stream(model="m", messages=HELLO, n=2) as stream:
        streamed = stream.get_final_completion()

    for completion in (whole, streamed):
        assert [choice.message.content for choice in completion.choices] == ["red", "green and blue"]


def test_usage_ends_a_stream_only_where_it_was_asked_for(provider: Provider) -> None:
    client = direct(provider)

    without = list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    with_usage = list(
        client.chat.completions.create(model="m", messages=HELLO, stream=True, stream_options={"include_usage": True})
    )

    assert [chunk.usage for chunk in without] == [None] * len(without)
    assert with_usage[-1].choices == []
    assert with_usage[-1].usage is not None
    assert with_usage[-1].usage.completion_tokens == 4, 'the words of: You said: "Hello there.".'


def test_embeddings_through_the_proxy_are_deterministic(plain_proxy: Proxy, provider: Provider) -> None:
    texts = ["my cat is called Felix", "what is my cat called", "the weather in Oslo"]
    client = plain_proxy.openai()

    first, again = [
        [item.embedding for item in client.embeddings.create(model=EMBEDDING_MODEL, input=texts).data] for _ in range(2)
    ]

    assert first == again
    cosine = [sum(a * b for a, b in zip(first[0], other, strict=True)) for other in first]
    assert cosine[0] == pytest.approx(1.0, abs=1e-5)
    assert cosine[1] > cosine[2], "texts that share words are nearer to each other"


def test_embeddings_come_in_the_encoding_that_was_asked_for(provider: Provider) -> None:
    body = {"model": "m", "input": "my cat", "dimensions": 8}

    as_list, as_base64 = [
        httpx.post(f"{provider.base_url}/embeddings", json=body | {"encoding_format": encoding}).json()["data"][0]
        for encoding in ("float", "base64")
    ]

    assert len(as_list["embedding"]) == 8
    assert list(struct.unpack("<8f", base64.b64decode(as_base64["embedding"]))) == as_list["embedding"]


def test_a_malformed_answer_can_be_scripted(provider: Provider) -> None:
    provider.answer(Answer(raw="{not json", status=200, headers={"x-served-by": "test"}))

    answer = httpx.post(f"{provider.base_url}/chat/completions", json={"model": "m", "messages": HELLO})

    assert (answer.text, answer.headers["x-served-by"]) == ("{not json", "test")


def test_a_provider_of_its_own_process_is_driven_alike(tmp_path: Path) -> None:
    with ProviderProcess(tmp_path) as process:
        process.provider.answer(Answer(text="from afar"))
        reply = direct(process.provider).chat.completions.create(model="m", messages=HELLO)

        assert reply.choices[0].message.content == "from afar"
        assert process.provider.last.messages == HELLO
        process.provider.clear()
        assert process.provider.recorded == []


def test_recallr_headers_for_a_request(plain_proxy: Proxy) -> None:
    headers = plain_proxy.headers("alice", include_system_prompt=False, api_key=None, min_top_k=3)

    assert headers == {
        "X-Recallr-Project-Id": "acme",
        "X-Recallr-User-Id": "alice",
        "X-Recallr-Allow-New-User-Creation": "true",
        "X-Recallr-Include-System-Prompt": "false",
        "X-Recallr-Min-Top-K": "3",
    }
    assert "X-Recallr-User-Id" not in plain_proxy.openai().default_headers, "without a user: a plain client"


def test_a_failed_start_shows_the_log(start_proxy: StartProxy) -> None:
    with pytest.raises(StartFailed, match="no_such_module"):
        start_proxy(plugin=False, callbacks=["no_such_module.callback"])


def test_a_killed_proxy_restarts_at_the_same_address_with_its_callbacks(
    start_proxy: StartProxy, provider: Provider, tmp_path: Path
) -> None:
    (tmp_path / "marking.py").write_text(
        "from litellm.integrations.custom_logger import CustomLogger\n"
        "class Marking(CustomLogger):\n"
        "    async def async_pre_call_hook(self, user_api_key_dict, cache, data, call_type):\n"
        "        data['messages'] = [*data['messages'], {'role': 'user', 'content': 'marked'}]\n"
        "        return data\n"
        "marking = Marking()\n"
    )
    proxy = start_proxy(folder=tmp_path, plugin=False, callbacks=["marking.marking"])
    client = proxy.openai()
    client.chat.completions.create(model=CHAT_MODEL, messages=HELLO)
    assert provider.last.messages == [*HELLO, {"role": "user", "content": "marked"}], "the callback ran"

    proxy.kill()
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model=CHAT_MODEL, messages=HELLO)
    proxy.restart()
    client.chat.completions.create(model=CHAT_MODEL, messages=HELLO)

    assert len(provider.chats("marked")) == 2, "the request to the dead proxy reached nobody, the one after it did"
    assert proxy.terminate() in (0, -15), "SIGTERM ends it in good order"
    assert "Application shutdown complete" in proxy.log
