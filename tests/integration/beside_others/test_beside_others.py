"""The plugin beside what else a gateway may have turned on: other callbacks, which see nothing of Recallr and group
requests by its sessions; client headers that are forwarded; LiteLLM's cache and fallbacks; memory embedded by a model
of the gateway.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import litellm
import openai
import pytest
from litellm.integrations.langfuse import langfuse

from tests.integration.beside_others.conftest import FRAGILE_MODEL, SMALL_MODEL, SMALL_WINDOW
from tests.support import witness
from tests.support.clients import SDKS, Sdk
from tests.support.memory import SHORT, Memory
from tests.support.provider import Answer, Provider, Recorded
from tests.support.proxy import (
    API_KEY,
    CHAT_MODEL,
    CLAUDE_MODEL,
    GEMINI_MODEL,
    OTHER_API_KEY,
    Proxy,
)
from tests.support.waiting import eventually

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

SEEN = {
    "log_pre_api_call",
    "async_pre_call_hook",
    "async_moderation_hook",
    "async_post_call_success_hook",
    "async_post_call_failure_hook",
    "async_log_success_event",
    "async_log_failure_event",
}
CONTROL = {"X-Control": "control-value-of-the-client"}
"""A header of the client's own: that it is seen shows that headers are looked at."""


def chat(proxy: Proxy, text: str, *, stream: bool = False, **recallr: str) -> None:
    with proxy.openai() as client:
        answer = client.chat.completions.create(
            model=CHAT_MODEL,
            messages=[{"role": "user", "content": text}],
            stream=stream,
            extra_headers=CONTROL | recallr,
        )
        if isinstance(answer, openai.Stream):
            for _ in answer:
                pass


def ours_in(text: str) -> list[str]:
    """The lines that hold one of our header names or a key."""
    secrets = ("x-recallr", "x_recallr", API_KEY.lower())
    return [line[:500] for line in text.splitlines() if any(secret in line.lower() for secret in secrets)]


def test_neither_provider_nor_log_nor_other_callbacks_see_our_headers(
    watched: Proxy, provider: Provider, user: str
) -> None:
    witnessed = watched.folder / witness.WITNESSED
    headers = watched.headers(user, timezone="Europe/Berlin", min_top_k=3)
    chat(watched, "A whole answer.", **headers)
    chat(watched, "A streamed answer.", stream=True, **headers)
    provider.answer(Answer(status=500))
    with pytest.raises(openai.InternalServerError):
        chat(watched, "A failure.", **headers)

    for request in provider.chats():
        assert request.headers["x-control"] == CONTROL["X-Control"], "the gateway forwards what is not ours"
        found = ours_in(json.dumps(request.headers) + request.body.decode())
        assert found == [], f"the provider got of ours: {found}"
    assert len(provider.chats()) == 3

    # the success and failure events come when the answer is out already
    seen = eventually(
        lambda: set(_hooks(witnessed)),
        f"the second callback has seen all of {sorted(SEEN)}",
        until=lambda seen: seen >= SEEN,
    )
    assert seen == SEEN
    text = witnessed.read_text()
    assert text.count(CONTROL["X-Control"]) >= 3, "the callback does get the client's headers"
    assert ours_in(text) == [], "the second callback got something of ours"
    assert CONTROL["X-Control"] in watched.log, "LiteLLM logs the headers of requests"
    assert ours_in(watched.log) == [], "LiteLLM's log has something of ours in it"


def test_a_refused_key_is_told_to_nobody(watched: Proxy, provider: Provider, user: str) -> None:
    witnessed = watched.folder / witness.WITNESSED
    before = _hooks(witnessed).count("async_post_call_failure_hook")
    with pytest.raises(openai.AuthenticationError) as refused:
        chat(watched, "A refusal.", **watched.headers(user, api_key=OTHER_API_KEY))

    eventually(
        lambda: _hooks(witnessed).count("async_post_call_failure_hook"),
        "the second callback has seen that the request failed",
        until=lambda count: count > before,
    )
    for where in (refused.value.response.text, witnessed.read_text(), watched.log):
        assert OTHER_API_KEY not in where
    assert provider.chats() == []


def _hooks(file: Path) -> list[str]:
    """The names of the hooks that were called, in order."""
    parts = file.read_text().split("=" * 20 + "\n")[:-1] if file.exists() else []
    return [part.partition("\n")[0] for part in parts]


def test_memory_is_embedded_through_the_gateway_and_kept_from_its_loggers(
    watched: Proxy, provider: Provider, user: str
) -> None:
    first = watched.ask(user, "My cat is called Felix.", session_timeout_seconds=SHORT)
    Memory(watched).wait_processed(user, first.session_id)
    embedded = [text for seen in provider.recorded if seen.path == "/v1/embeddings" for text in seen.json["input"]]
    assert "My cat is called Felix." in embedded

    second = watched.ask(user, "What is my cat called?")
    assert second.memory_status == "ok"
    assert "My cat is called Felix." in provider.last.user_text
    recorded(watched, "What is my cat called?")  # the loggers have been told by then
    kinds = {json.loads(line)["kind"] for line in (watched.folder / witness.RECORDED).read_text().split("\n")[:-1]}
    assert not [kind for kind in kinds if "embedding" in kind], "loggers must not hear what memory embeds"


def recorded(proxy: Proxy, text: str) -> dict[str, Any]:
    """What the logger was told of the request in which this was said. The event comes after the answer."""
    file = proxy.folder / witness.RECORDED

    def lines() -> list[dict[str, Any]]:
        written = file.read_text().split("\n")[:-1] if file.exists() else []
        return [line for line in map(json.loads, written) if text in line["said"]]

    return eventually(lines, f"the logger has been told of {text!r}", until=lambda found: len(found) > 0)[0]


MODELS = {"anthropic": CLAUDE_MODEL, "gemini": GEMINI_MODEL}


def chats(provider: Provider, text: str) -> list[Recorded]:
    """What reached the provider and holds this text, but for what is embedded."""
    return [seen for seen in provider.recorded if text in seen.body.decode() and seen.path != "/v1/embeddings"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_loggers_group_requests_by_our_session(
    watched: Proxy, provider: Provider, user: str, sdk: Sdk, stream: bool
) -> None:
    texts = [f"{word} of {user}" for word in ("Beginning", "Continuation")]
    model = MODELS.get(sdk.name, CHAT_MODEL)
    answers = [sdk.ask(watched, user, [sdk.user_says(text)], model=model, stream=stream) for text in texts]

    first, second = (answer.headers["x-recallr-session-id"] for answer in answers)
    assert first == second, "both are of one session"
    for text in texts:
        told = recorded(watched, text)
        assert (told["trace_id"], told["session_id"]) == (first, first)
        assert told["metadata"] == {"trace_id": first, "session_id": first}, "where older loggers look"
        if (is_a_session := getattr(langfuse, "_is_session_header_trace", None)) is not None:
            assert is_a_session(first, first, {"headers": told["headers"]}), (
                "Langfuse makes a trace of each request in that session, not one of them all"
            )
    requests = chats(provider, user)
    assert len(requests) == 2
    for request in requests:
        sent = json.dumps(request.headers) + request.body.decode()
        for name in (first, "litellm_", "trace_id", "session_id", "session-id"):
            assert name not in sent.lower(), f"the provider gets no {name!r}"


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OWN: dict[str, tuple[dict[str, Any], str | None]] = {
    "metadata": ({"extra_body": {"metadata": {"session_id": "mine-12345"}}}, "mine-12345"),
    "body": ({"extra_body": {"litellm_session_id": "mine-12345"}}, "mine-12345"),
    "header": ({"extra_headers": {"x-litellm-session-id": "mine-12345"}}, "mine-12345"),
    "trace": ({"extra_headers": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}}, None),
}


@pytest.mark.parametrize(("own", "expected"), OWN.values(), ids=OWN)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_ids_of_the_clients_own_stay(
    watched: Proxy, provider: Provider, user: str, own: dict[str, Any], expected: str | None, api: str
) -> None:
    text = f"Hello from {user}."
    with watched.openai(user) as client:
        raw: Any = (
            client.responses.with_raw_response.create(model=CHAT_MODEL, input=text, **{"metadata": {"a": "b"}, **own})
            if api == "responses"
            else client.chat.completions.with_raw_response.create(
                model=CHAT_MODEL, messages=[{"role": "user", "content": text}], **own
            )
        )
    told, ours = recorded(watched, user), raw.headers["x-recallr-session-id"]
    if expected is None:
        assert (told["trace_id"], told["session_id"]) == (TRACE, ours), "a trace of the client's goes on in our session"
    else:
        assert told["session_id"] == expected
        assert ours not in json.dumps(told), "ours is nowhere beside it"


def test_an_answer_of_a_fallback_is_stored_once(watched: Proxy, provider: Provider, user: str) -> None:
    provider.answer(
        Answer(model=FRAGILE_MODEL, status=500), Answer(when=user, model=CHAT_MODEL, text="From the other.")
    )
    said = f"I am {user}."
    list(
        watched.openai(user).chat.completions.create(
            model=FRAGILE_MODEL, messages=[{"role": "user", "content": said}], stream=True
        )
    )
    assert [request.model for request in provider.chats(user)] == [FRAGILE_MODEL, CHAT_MODEL], "it did fall back"
    assert Memory(watched).only(user).said == [("user", said), ("assistant", "From the other.")]


def test_an_answer_from_litellms_cache_is_stored_like_any_other(watched: Proxy, provider: Provider, user: str) -> None:
    question, names = f"What is the number of {user}?", (f"first-{user}", f"second-{user}")
    provider.answer(Answer(text="Forty-two."))
    replies = [watched.ask(name, question) for name in names]

    assert [reply.text for reply in replies] == ["Forty-two."] * 2
    assert len(provider.chats(question)) == 1, "the second answer came from the cache"
    for name in names:
        assert Memory(watched).only(name).said == [("user", question), ("assistant", "Forty-two.")]


@pytest.mark.parametrize(
    ("words", "fields", "memory"),
    [
        (600, {}, True),
        (300, {"max_tokens": 400}, True),
        (1_080, {}, False),
        (300, {"max_completion_tokens": 800}, False),
        (10, {"tools": [{**TOOL, "function": {**TOOL["function"], "description": "look " * 1_000}}]}, False),
    ],
    ids=["question", "answer", "no room", "no room beside the answer", "no room beside the tools"],
)
def test_what_fits_a_models_window_without_memory_fits_with_it(
    watched: Proxy, provider: Provider, user: str, words: int, fields: dict[str, Any], memory: bool
) -> None:
    for number in range(8):
        watched.ask(user, f"Fact {number} is this. " + f"It is about the cat number {number}. " * 20)
    create = watched.openai(user).chat.completions.with_raw_response.create
    question: list[Any] = [{"role": "user", "content": "Which fact is it? " + "word " * words}]
    answer = create(model=SMALL_MODEL, messages=question, **fields)  # LiteLLM refuses what is too long

    assert answer.headers["x-recallr-memory-status"] == "degraded; reason=window"
    sent = provider.last
    assert ("<recallr_memory" in sent.body.decode()) == memory
    limit = SMALL_WINDOW - fields.get("max_tokens", fields.get("max_completion_tokens", 0))
    assert litellm.token_counter(messages=sent.messages, tools=fields.get("tools")) <= limit


def test_a_question_that_leaves_room_for_all_of_memory_has_it(watched: Proxy, provider: Provider, user: str) -> None:
    watched.ask(user, "My cat is called Felix.")
    create = watched.openai(user).chat.completions.with_raw_response.create
    answer = create(model=SMALL_MODEL, messages=[{"role": "user", "content": "What is it called?"}])
    assert answer.headers["x-recallr-memory-status"] == "ok"
    assert "Felix" in provider.last.user_text
