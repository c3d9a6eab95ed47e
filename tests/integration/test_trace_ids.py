"""The session in other tools: LiteLLM's loggers get it as session and trace id, the provider gets nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from litellm.integrations.langfuse.langfuse import _is_session_header_trace

from recallr_litellm.formats import FORMATS
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.waiting import eventually

RECORDER = '''
"""A callback that writes down by which ids a logger would group a request."""

import json

from litellm.integrations.custom_logger import CustomLogger

FILE = {file!r}


class Recorder(CustomLogger):
    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        told = kwargs["standard_logging_object"]
        parameters = kwargs["litellm_params"]
        metadata = {{**(parameters.get("litellm_metadata") or {{}}), **(parameters.get("metadata") or {{}})}}
        line = {{
            "said": str(told["messages"]),
            "trace_id": told["trace_id"],
            "session_id": told["session_id"],
            "metadata": {{name: metadata.get(name) for name in ("trace_id", "session_id")}},
            "headers": (parameters.get("proxy_server_request") or {{}}).get("headers"),
        }}
        with open(FILE, "a") as file:
            file.write(json.dumps(line) + "\\n")


recorder = Recorder()
'''
CLAUDE, GEMINI = "claude-3-5-haiku-latest", "gemini-2.5-flash"

Ask = Callable[[Proxy, str, str, bool], httpx.Headers]
"""Asks this proxy, as this user, this, streamed or not; the headers of the answer."""


@pytest.fixture(scope="module")
def observed(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy with a logger that records, which hands on all headers of clients that it may hand on."""
    folder = tmp_path_factory.mktemp("observed")
    (folder / "recording.py").write_text(RECORDER.format(file=str(folder / "recorded")))
    root = running_provider.base_url.removesuffix("/v1")
    behind = {CLAUDE: ("anthropic", root), GEMINI: ("gemini", f"{root}/v1beta")}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"{kind}/{name}", "api_base": base, "api_key": "x"}}
            for name, (kind, base) in behind.items()
        ],
        "general_settings": {"forward_client_headers_to_llm_api": True},
        # trace and session id are then two fields, each of which must be right
        "litellm_settings": {"request_correlation_in_logs": True},
    }
    with Proxy(folder, running_provider, callbacks=["recording.recorder"], config=config) as proxy:
        yield proxy


def recorded(proxy: Proxy, text: str) -> dict[str, Any]:
    """What the logger was told of the request in which this was said. The event comes after the answer."""
    file = proxy.folder / "recorded"

    def lines() -> list[dict[str, Any]]:
        written = file.read_text().split("\n")[:-1] if file.exists() else []
        return [line for line in map(json.loads, written) if text in line["said"]]

    return eventually(lines, f"the logger has been told of {text!r}", until=lambda found: len(found) > 0)[0]


def _read(answer: Any, stream: bool) -> None:
    if stream:
        for _ in answer:
            pass


def chat(proxy: Proxy, user: str, text: str, stream: bool, **more: Any) -> httpx.Headers:
    with proxy.openai(user) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=CHAT_MODEL, messages=[{"role": "user", "content": text}], stream=stream, **more
        )
        _read(raw.parse(), stream)
        return raw.headers


def completions(proxy: Proxy, user: str, text: str, stream: bool) -> httpx.Headers:
    with proxy.openai(user) as client:
        raw = client.completions.with_raw_response.create(model=CHAT_MODEL, prompt=text, stream=stream)
        _read(raw.parse(), stream)
        return raw.headers


def responses(proxy: Proxy, user: str, text: str, stream: bool, **more: Any) -> httpx.Headers:
    with proxy.openai(user) as client:
        raw = client.responses.with_raw_response.create(
            model=CHAT_MODEL, input=text, stream=stream, **{"metadata": {"of": "the client"}, **more}
        )
        _read(raw.parse(), stream)
        return raw.headers


def messages(proxy: Proxy, user: str, text: str, stream: bool) -> httpx.Headers:
    with proxy.anthropic(user) as client:
        raw = client.messages.with_raw_response.create(
            model=CLAUDE,
            max_tokens=50,
            messages=[{"role": "user", "content": text}],
            metadata={"user_id": "of-the-client"},
            stream=stream,
        )
        _read(raw.parse(), stream)
        return raw.headers


def gemini(proxy: Proxy, user: str, text: str, stream: bool) -> httpx.Headers:
    with proxy.gemini(user) as client:
        answers = (
            list(client.models.generate_content_stream(model=GEMINI, contents=text))
            if stream
            else [client.models.generate_content(model=GEMINI, contents=text)]
        )
    http = answers[0].sdk_http_response
    assert http is not None, "the SDK gives the headers of the response"
    return httpx.Headers(http.headers)


ASK: dict[str, Ask] = {
    "acompletion": chat,
    "atext_completion": completions,
    "aresponses": responses,
    "anthropic_messages": messages,
    "agenerate_content": gemini,
}
"""By LiteLLM's name for the request."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", [pytest.param(ASK[name], id=ASK[name].__name__) for name in ASK if name in FORMATS])
def test_loggers_group_requests_by_our_session(
    observed: Proxy, provider: Provider, user: str, ask: Ask, stream: bool
) -> None:
    first, second = [f"{word} of {user}" for word in ("Beginning", "Continuation")]
    sessions = [ask(observed, user, text, stream)["x-recallr-session-id"] for text in (first, second)]

    assert sessions[0] == sessions[1], "both are of one session"
    for text in (first, second):
        told = recorded(observed, text)
        assert (told["trace_id"], told["session_id"]) == (sessions[0], sessions[0])
        assert told["metadata"] == {"trace_id": sessions[0], "session_id": sessions[0]}, "where older loggers look"
        assert _is_session_header_trace(sessions[0], sessions[0], {"headers": told["headers"]}), (
            "Langfuse makes a trace of each request in that session, not one of them all"
        )
    requests = [request for request in provider.recorded if user in request.body.decode()]
    assert len(requests) == 2
    for request in requests:
        sent = json.dumps(request.headers) + request.body.decode()
        assert sessions[0] not in sent, "the provider does not get the session id"
        for name in ("litellm_", "trace_id", "session_id", "session-id"):
            assert name not in sent.lower(), f"the provider gets no {name!r}"


def test_every_format_is_shown_here() -> None:
    assert {type(FORMATS[name]) for name in ASK if name in FORMATS} == {type(format) for format in FORMATS.values()}


OWN: dict[str, tuple[dict[str, Any], str]] = {
    "metadata": ({"extra_body": {"metadata": {"session_id": "mine-12345"}}}, "mine-12345"),
    "body": ({"extra_body": {"litellm_session_id": "mine-12345"}}, "mine-12345"),
    "header": ({"extra_headers": {"x-litellm-session-id": "mine-12345"}}, "mine-12345"),
}


@pytest.mark.parametrize(("own", "expected"), OWN.values(), ids=OWN)
@pytest.mark.parametrize("ask", [chat, responses], ids=["chat", "responses"])
def test_a_session_id_of_the_clients_own_stays(
    observed: Proxy, user: str, ask: Callable[..., httpx.Headers], own: dict[str, Any], expected: str
) -> None:
    headers = ask(observed, user, f"Hello from {user}.", False, **own)

    told = recorded(observed, user)
    ours = headers["x-recallr-session-id"]
    assert told["session_id"] == expected
    assert ours not in json.dumps(told), "ours is nowhere beside it"


@pytest.mark.parametrize("ask", [chat, responses], ids=["chat", "responses"])
def test_a_trace_of_the_clients_own_goes_on_in_our_session(
    observed: Proxy, user: str, ask: Callable[..., httpx.Headers]
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    header = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    headers = ask(observed, user, f"Hello from {user}.", False, extra_headers=header)

    told = recorded(observed, user)
    assert (told["trace_id"], told["session_id"]) == (trace, headers["x-recallr-session-id"])
