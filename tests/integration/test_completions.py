"""Memory through the legacy completions API: to a model that has it, and to a chat model that LiteLLM adapts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest
from openai.types import Completion

from tests.support.differences import STREAMED_COMPLETIONS_KEEP_CHOICES_APART
from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, Recorded
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.waiting import eventually

INSTRUCT_MODEL = "openai/gpt-3.5-turbo-instruct"
OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
INSTRUCTIONS = "# Memory\nThis conversation may hold a block"
ALWAYS = {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}
ONCE_KNOWN = ALWAYS | {"x-recallr-session-id", "x-recallr-user-id"}
ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    500: openai.InternalServerError,
}

either_kind = pytest.mark.parametrize("model", [INSTRUCT_MODEL, CHAT_MODEL], ids=["native", "bridged"])
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@dataclass(frozen=True)
class Answered:
    """What the client got."""

    texts: list[str]
    """By choice."""
    headers: httpx.Headers


def ask(
    proxy: Proxy,
    user: str | None,
    prompt: Any,
    *,
    model: str,
    stream: bool = False,
    body: dict[str, Any] | None = None,
    **options: object,
) -> Answered:
    """One request through the SDK, a streamed answer read to its end."""
    with proxy.openai(user, **options) as client:
        raw = client.completions.with_raw_response.create(model=model, prompt=prompt, stream=stream, **(body or {}))
        parsed: Any = raw.parse()
        chunks: list[Completion] = list(parsed) if stream else [parsed]
    texts: dict[int, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        texts[choice.index] = texts.get(choice.index, "") + (choice.text or "")
    return Answered([text for _, text in sorted(texts.items())], raw.headers)


def ours(headers: Mapping[str, str]) -> set[str]:
    """Names of the Recallr headers of a response."""
    return {name.lower() for name in headers if name.lower().startswith("x-recallr-")}


def last(provider: Provider) -> Recorded:
    """The request that reached the provider last."""
    assert provider.recorded, "no request has reached the provider"
    return provider.recorded[-1]


def prompt_of(request: Recorded) -> str:
    """The prompt as the model gets it: of a chat model, its only message."""
    if "prompt" in request.json:
        return str(request.json["prompt"])
    [message] = request.messages
    return str(message["content"])


@either_kind
def test_a_later_session_recalls_the_first(proxy: Proxy, provider: Provider, user: str, model: str) -> None:
    provider.answer(Answer(text="What a good name for a cat."))
    first = ask(proxy, user, "My cat is called Felix.", model=model, session_timeout_seconds=SHORT)
    assert first.texts == ["What a good name for a cat."]
    prompt = prompt_of(last(provider))
    assert prompt.startswith(INSTRUCTIONS)
    assert prompt.endswith("\n\nMy cat is called Felix.")
    assert OPENING not in prompt, "nothing to remember: no block"
    Memory(proxy).wait_processed(user, first.headers["x-recallr-session-id"])

    for stream in (False, True):
        question = f"What is my cat called? {stream}"
        answered = ask(proxy, user, question, model=model, stream=stream)
        prompt = prompt_of(last(provider))
        instructions, opening, rest = prompt.partition(OPENING)
        block, closing, words = rest.partition(CLOSING)
        assert opening, f"there should be a memory block in {prompt!r}"
        assert closing
        assert instructions.startswith(INSTRUCTIONS)
        assert words == f"\n\n{question}", "the prompt follows the block, as it was"
        assert "My cat is called Felix." in block
        assert "What a good name for a cat." in block, "what the model said is remembered too"
        assert ours(answered.headers) == ONCE_KNOWN
        assert answered.headers["x-recallr-memory-status"] == "ok"

    ask(proxy, user, "And now?", model=model, include_system_prompt=False)
    assert prompt_of(last(provider)).startswith(OPENING), "without instructions the block comes first"


@either_kind
@whole_and_streamed
def test_an_exchange_is_stored_before_the_answer_ends(
    proxy: Proxy, provider: Provider, user: str, model: str, stream: bool
) -> None:
    provider.answer(Answer(text="One two three."), Answer(text="Four."))
    memory = Memory(proxy)
    ask(proxy, None, "Count.", model=model, stream=stream, body={"user": user}, allow_new_user_creation=True)
    expected = [("user", "Count."), ("assistant", "One two three.")]
    assert memory.only(user).said == expected, "the user id of the body counts"
    ask(proxy, user, "Go on.", model=model, stream=stream)
    kept = memory.only(user)
    assert kept.said == [*expected, ("user", "Go on."), ("assistant", "Four.")]
    assert not any(stored.partial for stored in kept.messages)
    assert "One two three." in prompt_of(last(provider)), "what the session holds is shown to the model"


@either_kind
@whole_and_streamed
def test_every_choice_is_stored(proxy: Proxy, provider: Provider, user: str, model: str, stream: bool) -> None:
    provider.answer(Answer(choices=("Red.", "Green.")))
    answered = ask(proxy, user, "A colour?", model=model, stream=stream, body={"n": 2})
    kept = Memory(proxy).only(user)
    assert kept.texts == ["A colour?", *answered.texts], "what the client got is stored"
    assert not any(stored.partial for stored in kept.messages)
    # Where LiteLLM gives the streamed choices of this API one index, the client, and so memory, has them as one text.
    as_one = stream and model == INSTRUCT_MODEL and not STREAMED_COMPLETIONS_KEEP_CHOICES_APART
    assert answered.texts == (["Red.Green."] if as_one else ["Red.", "Green."])


@pytest.mark.parametrize(
    ("prompt", "body"),
    [(["One.", "Two."], {}), ([1, 2, 3], {}), ([[1, 2], [3]], {}), ("Say it back.", {"echo": True})],
    ids=["several prompts", "token ids", "several of token ids", "echo"],
)
@whole_and_streamed
def test_what_is_no_conversation_passes_through_with_status_off(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, prompt: Any, body: dict[str, Any], stream: bool
) -> None:
    ask(proxy, user, "My cat is called Felix.", model=INSTRUCT_MODEL)
    before = Memory(proxy).only(user).said
    there = ask(plain_proxy, None, prompt, model=INSTRUCT_MODEL, stream=stream, body=body)
    sent = last(provider).body
    here = ask(proxy, user, prompt, model=INSTRUCT_MODEL, stream=stream, body=body)

    assert last(provider).body == sent, "the same bytes as without the plugin"
    assert here.texts == there.texts
    assert ours(here.headers) == ALWAYS
    assert here.headers["x-recallr-memory-status"] == "off"
    assert Memory(proxy).only(user).said == before, "nothing of it is stored"
    with pytest.raises(openai.AuthenticationError):
        ask(proxy, user, prompt, model=INSTRUCT_MODEL, stream=stream, body=body, api_key="rai_wrong")


@either_kind
@whole_and_streamed
@pytest.mark.parametrize("status", [400, 500])
def test_an_error_of_the_provider_carries_all_headers_and_stores_nothing(
    proxy: Proxy, provider: Provider, user: str, model: str, stream: bool, status: int
) -> None:
    provider.answer(Answer(status=status, message="No such luck."))
    with pytest.raises(ERRORS[status], match="No such luck") as failed:
        ask(proxy, user, "Hello.", model=model, stream=stream)
    assert ours(failed.value.response.headers) == ONCE_KNOWN
    assert Memory(proxy).sessions(user) == []


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ({"min_top_k": "many", "timezone": "Mars"}, 400, "X-Recallr-Min-Top-K.*X-Recallr-Timezone"),
        ({"api_key": "rai_wrong"}, 401, "X-Recallr-API-Key"),
        ({"allow_new_user_creation": False}, 404, "X-Recallr-Allow-New-User-Creation"),
    ],
    ids=["bad values", "wrong key", "unknown user"],
)
@whole_and_streamed
def test_a_refused_request_is_the_sdks_own_error(
    proxy: Proxy,
    provider: Provider,
    user: str,
    stream: bool,
    options: dict[str, Any],
    status: int,
    says: str,
) -> None:
    with pytest.raises(ERRORS[status], match=says) as refused:
        ask(proxy, user, "Hello.", model=INSTRUCT_MODEL, stream=stream, **options)
    error = refused.value
    assert isinstance(error.body, dict)
    assert set(error.body) >= {"message", "type", "param", "code"}, "the shape of OpenAI's errors"
    assert ours(error.response.headers) >= ALWAYS
    assert error.response.headers["x-recallr-memory-status"] == "off"
    assert provider.recorded == [], "the model is not called"


def started(client: openai.OpenAI, model: str, until: str) -> Any:
    """A stream of the SDK, read up to these words. The connection is open still."""
    stream = client.completions.create(model=model, prompt="Count to four.", stream=True)
    received = ""
    while received != until:
        received += next(stream).choices[0].text or ""
    return stream


def check_kept_of_broken(proxy: Proxy, user: str) -> None:
    """Check that what the client got of a broken stream is stored, and said to be a part."""
    kept = eventually(lambda: Memory(proxy).sessions(user), "the broken exchange is stored")[0]
    assert kept.said == [("user", "Count to four."), ("assistant", "one two")]
    assert [stored.partial for stored in kept.messages] == [False, True]


@either_kind
def test_of_a_stream_that_the_client_leaves_what_it_got_is_stored_until_it_asks_again(
    proxy: Proxy, provider: Provider, user: str, model: str
) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2), Answer(text="One to four."))
    with proxy.openai(user) as client:
        started(client, model, "one two").close()
    check_kept_of_broken(proxy, user)
    ask(proxy, user, "Count to four.", model=model)
    assert Memory(proxy).only(user).said == [("user", "Count to four."), ("assistant", "One to four.")]


@either_kind
def test_of_a_stream_that_the_provider_breaks_off_what_the_client_got_is_stored(
    proxy: Proxy, provider: Provider, user: str, model: str
) -> None:
    provider.answer(Answer(text="one two three four", hang_after=2))
    with proxy.openai(user) as client:
        stream = started(client, model, "one two")
        provider.drop()
        with pytest.raises(openai.APIError):
            list(stream)
    check_kept_of_broken(proxy, user)


@either_kind
@whole_and_streamed
def test_a_request_without_our_headers_is_the_same_bytes_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, model: str, stream: bool
) -> None:
    bodies = []
    for gateway in (plain_proxy, proxy):
        answered = ask(gateway, None, "Hello.", model=model, stream=stream)
        assert not ours(answered.headers)
        bodies.append(last(provider).body)
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize(
    "body",
    [{}, {"prompt": None}, {"prompt": 7}, {"prompt": ""}, {"prompt": []}, {"prompt": {"a": 1}}, {"prompt": [None]}],
    ids=str,
)
@whole_and_streamed
def test_odd_prompts_are_answered_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, user: str, body: dict[str, Any], stream: bool
) -> None:
    def send(gateway: Proxy, headers: dict[str, str]) -> httpx.Response:
        return httpx.post(
            f"{gateway.url}/v1/completions",
            headers=headers | {"Authorization": f"Bearer {gateway.master_key}"},
            json={"model": INSTRUCT_MODEL, "stream": stream, **body},
            trust_env=False,
            timeout=60.0,
        )

    there, here = send(plain_proxy, {}), send(proxy, proxy.headers(user))
    assert here.status_code == there.status_code, f"with the plugin: {here.text}\nwithout: {there.text}"
    assert here.headers["x-recallr-memory-status"] in {"empty", "off"}, f"trouble with it: {here.headers}"
