"""Guardrails that refuse what is remembered: the request is made once more without it, and nothing is done twice. And
callbacks that seal an answer: it is kept as the model gave it.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from tests.support.clients import SDKS, Chat, Sdk
from tests.support.memory import Memory
from tests.support.observe import log_lines, metric
from tests.support.provider import Answer, Provider
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, GEMINI_MODEL, Proxy
from tests.support.waiting import eventually

MODELS = {"anthropic": CLAUDE_MODEL, "gemini": GEMINI_MODEL}
REFUSED = "degraded; reason=guardrail"


def learn(proxy: Proxy, provider: Provider, user: str, word: str) -> None:
    """The model says a word, which is remembered."""
    provider.answer(Answer(text=f"Your fish is the {word}."))
    assert proxy.ask(user, "Which fish is mine?").memory_status == "empty"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_a_recalled_word_that_is_refused_is_left_out_and_the_request_answered(
    extended: Proxy, provider: Provider, user: str, sdk: Sdk, stream: bool
) -> None:
    learn(extended, provider, user, "swordfish")
    provider.answer(Answer(text="I see."))
    question = sdk.user_says("What do you say to that?")
    model = MODELS.get(sdk.name, CHAT_MODEL)
    answered = sdk.ask(extended, user, [question], model=model, stream=stream)

    assert answered.text == "I see."
    assert answered.headers["x-recallr-memory-status"] == REFUSED
    assert "recallr" not in provider.recorded[-1].body.decode(), "the request is as the client sent it"
    kept = Memory(extended).only(user)
    assert kept.id == answered.headers["x-recallr-session-id"]
    assert kept.said[-2:] == [("user", "What do you say to that?"), ("assistant", "I see.")]
    assert len(kept.said) == 4, "the exchange is kept once"
    id = answered.headers["x-recallr-request-id"]
    [line] = eventually(lambda: log_lines(extended.folder, id), "the request's line is in the log")
    assert f'status="{REFUSED}"' in line


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("word", ["herring", "mackerel", "trout"])
def test_every_way_to_refuse_counts(extended: Proxy, provider: Provider, user: str, word: str, stream: bool) -> None:
    learn(extended, provider, user, word)
    provider.answer(Answer(when="What do", text="I see."))
    reply = extended.ask(user, "What do you say to that?", stream=stream)
    assert (reply.text, reply.memory_status) == ("I see.", REFUSED)
    assert Memory(extended).only(user).texts[-2:] == ["What do you say to that?", "I see."]


def test_a_refusal_of_the_models_provider_counts(extended: Proxy, provider: Provider, user: str) -> None:
    learn(extended, provider, user, "pike")
    refusal = {"error": {"message": "Invalid prompt: violating our usage policy", "code": "invalid_prompt"}}
    provider.answer(Answer(status=400, raw=json.dumps(refusal)), Answer(text="I see."))
    reply = extended.ask(user, "What do you say to that?")
    assert (reply.text, reply.memory_status) == ("I see.", REFUSED)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_what_the_user_says_is_refused_as_without_memory(
    extended: Proxy, provider: Provider, user: str, stream: bool
) -> None:
    learn(extended, provider, user, "perch")
    before = len(provider.recorded)
    for client in (None, user):
        with pytest.raises(openai.BadRequestError, match="swordfish is refused") as refused:
            extended.ask(client, "Is a swordfish a fish?", stream=stream)
    assert refused.value.response.headers["x-recallr-memory-status"] == REFUSED
    assert len(provider.recorded) == before, "the model is not called"
    assert len(Memory(extended).only(user).said) == 2, "what is refused is not kept"


@pytest.mark.parametrize(("word", "error"), [("haddock", openai.InternalServerError), ("limit", openai.RateLimitError)])
def test_what_is_no_refusal_is_not_tried_again(
    extended: Proxy, provider: Provider, user: str, word: str, error: type[openai.APIStatusError]
) -> None:
    learn(extended, provider, user, word)
    with pytest.raises(error) as failed:
        extended.ask(user, "What do you say to that?")
    assert failed.value.response.headers["x-recallr-memory-status"] == "ok", "it has failed with its memory"


def test_an_unknown_model_is_not_tried_again(extended: Proxy, provider: Provider, user: str) -> None:
    learn(extended, provider, user, "perch")
    with pytest.raises(openai.APIStatusError) as failed:
        Chat().ask(extended, user, [{"role": "user", "content": "Hm?"}], model="no-such-model", stream=False)
    assert failed.value.response.headers["x-recallr-memory-status"] == "ok"


def post(proxy: Proxy, user: str, path: str, body: dict[str, Any], **options: object) -> httpx.Response:
    keys = {"Authorization": f"Bearer {proxy.master_key}", **proxy.headers(user, **options)}
    return httpx.post(proxy.url + path, headers=keys, json=body, trust_env=False, timeout=60.0)


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
    extended: Proxy, provider: Provider, user: str, path: str, body: dict[str, Any], stream: bool
) -> None:
    faults = metric(extended, "recallr_faults_total")
    provider.answer(Answer(text="The cellar key."))
    answered = post(extended, user, path, {**body, "stream": stream})
    assert answered.status_code == 200, answered.text
    assert "cellar" not in answered.text, "the client's answer is of no known shape"

    expected = [("user", "A secret?"), ("assistant", "The cellar key.")]
    memory = Memory(extended)
    eventually(lambda: memory.only(user).said, "the reply is there, and no memory block", until=lambda s: s == expected)
    assert post(extended, user, "/v1/chat/completions", {"model": "none", "messages": []}).status_code >= 400
    assert memory.only(user).said == expected
    assert metric(extended, "recallr_faults_total") == faults


def test_a_request_without_memory_is_not_stored_from_the_event(extended: Proxy, provider: Provider, user: str) -> None:
    provider.answer(Answer(text="The cellar key."), Answer(status=400))
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "A secret?"}], "stream": False}
    assert post(extended, user, "/v1/chat/completions", body, memory="off").status_code == 200
    assert post(extended, user, "/v1/chat/completions", body).status_code == 400, "and nothing of a failed call"
    provider.answer(Answer(text="Hello."))
    extended.ask(user, "Hi.")
    assert Memory(extended).only(user).said == [("user", "Hi."), ("assistant", "Hello.")]
