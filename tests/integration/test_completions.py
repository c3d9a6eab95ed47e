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
from tests.support.memory import Memory
from tests.support.provider import Answer, Provider, Recorded
from tests.support.proxy import CHAT_MODEL, Proxy

INSTRUCT_MODEL = "openai/gpt-3.5-turbo-instruct"
OPENING, CLOSING = "<recallr_memory now=", "</recallr_memory>"
ALWAYS = {"x-recallr-request-id", "x-recallr-process-time", "x-recallr-memory-status"}

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
def test_a_request_without_our_headers_is_the_same_bytes_as_without_the_plugin(
    proxy: Proxy, plain_proxy: Proxy, provider: Provider, model: str, stream: bool
) -> None:
    bodies = []
    for gateway in (plain_proxy, proxy):
        answered = ask(gateway, None, "Hello.", model=model, stream=stream)
        assert not ours(answered.headers)
        bodies.append(last(provider).body)
    assert bodies[0] == bodies[1]
