"""What Reconify is told of requests through the gateway, and what its own Python module tells it of the same calls."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from tests.support.clients import SDKS, Sdk
from tests.support.differences import CHAT_MESSAGES_HAVE_PROVIDER_FIELDS
from tests.support.memory import SHORT, Memory
from tests.support.observe import metric
from tests.support.provider import Answer, Provider, ThreadedProvider, ToolCall
from tests.support.proxy import CHAT_MODEL, CLAUDE_MODEL, GEMINI_MODEL, Proxy
from tests.support.reconify_endpoint import Posted, ReconifyEndpoint
from tests.support.waiting import eventually

HELLO: list[Any] = [{"role": "user", "content": "Hello."}]
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
]
CALLS = (ToolCall(name="weather", arguments='{"city": "Köln"}', id="c1"), ToolCall(name="weather", id="c2"))
SECRET = "hunter2"
PRIVACY = f'''
"""A module of the gateway's owner."""


def hide(text):
    return text.replace({SECRET!r}, "***")
'''


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint() as endpoint:
        yield endpoint


def models_of(provider: Provider) -> dict[str, Any]:
    """A model of each of three providers under a name that only the gateway knows."""

    def model(name: str, behind: str, path: str) -> dict[str, Any]:
        api_base = provider.base_url.removesuffix("/v1") + path
        return {"model_name": name, "litellm_params": {"model": behind, "api_base": api_base, "api_key": "sk-x"}}

    return {
        "model_list": [
            model(f"our-{CLAUDE_MODEL}", f"anthropic/{CLAUDE_MODEL}", ""),
            model(f"our-{CHAT_MODEL}", f"openai/{CHAT_MODEL}", "/v1"),
            model(f"our-{GEMINI_MODEL}", f"gemini/{GEMINI_MODEL}", "/v1beta"),
        ]
    }


@pytest.fixture(scope="module")
def gateway(
    endpoint: ReconifyEndpoint, running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """As most will have it: the request as the provider got it, of Recallr requests only; redacted."""
    folder = tmp_path_factory.mktemp("reconify")
    (folder / "our_privacy.py").write_text(PRIVACY)
    settings = {
        **endpoint.settings,
        "RECALLR_FORWARD_UPSTREAMS": json.dumps([origin(running_provider)]),
        "RECONIFY_REDACT": "our_privacy:hide",
    }
    with Proxy(folder, running_provider, settings=settings, config=models_of(running_provider)) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def private(
    endpoint: ReconifyEndpoint, running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The request as the client wrote it, of every request."""
    folder = tmp_path_factory.mktemp("reconify-private")
    settings = {"RECONIFY_REQUEST": "client", "RECONIFY_SCOPE": "all"}
    with Proxy(folder, running_provider, settings=endpoint.settings | settings) as proxy:
        yield proxy


def origin(provider: Provider) -> str:
    return provider.base_url.removesuffix("/v1")


class Told:
    """What the endpoint has been told since this was made."""

    def __init__(self, endpoint: ReconifyEndpoint) -> None:
        self._endpoint = endpoint
        self._before = len(endpoint.posted)

    def payloads(self, count: int, path: str = "/track") -> list[dict[str, Any]]:
        """The payloads posted there, once there are so many."""

        def look() -> list[Posted]:
            return [posted for posted in self._endpoint.posted[self._before :] if posted.path == path]

        posted = eventually(look, f"{count} payloads at {path}", until=lambda found: len(found) >= count)
        assert len(posted) == count, f"each interaction once, not {len(posted)}: {[one.body for one in posted]}"
        return [one.body for one in posted]

    @property
    def payload(self) -> dict[str, Any]:
        """The one payload of the plugin's."""
        return self.payloads(1)[0]


@pytest.fixture
def told(endpoint: ReconifyEndpoint, provider: Provider) -> Told:
    return Told(endpoint)


def queued(proxy: Proxy) -> float:
    """How many payloads the proxy has queued since its start."""
    return metric(proxy, "recallr_reconify_payloads_total", outcome="queued")


def official(name: str, client: Any, endpoint: ReconifyEndpoint, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reconify's own module, watching this client."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    module = importlib.import_module(f"reconify.{name}")
    module.config(client, "app-key-of-the-tests", "api-key-of-the-tests", tracker=f"{endpoint.url}/official")
    return module


def differences(theirs: Any, ours: Any, place: str = "") -> Iterator[str]:
    """Where two JSON values differ. What is null in one and missing in the other counts as the same."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in {**theirs, **ours}:
            where = f"{place}.{key}".lstrip(".")
            if key not in theirs:
                yield from [] if ours[key] is None else [f"{where}: only ours"]
            elif key not in ours:
                yield from [] if theirs[key] is None else [f"{where}: only theirs"]
            else:
                yield from differences(theirs[key], ours[key], where)
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for mine, yours in zip(theirs, ours, strict=True):
            yield from differences(mine, yours, f"{place}[]")
    elif theirs != ours:
        yield f"{place}: {theirs!r} is {ours!r} in ours"


ENVELOPE = {
    # Their version is that of the module; the REST document asks for that of the API.
    "reconify.version: '3.0.0' is '1.0.0' in ours",
    # Both stop the clock by themselves, the module in the client and the plugin in the gateway.
    "timestamps",
}
UNKNOWN_TO_THE_SDK = {
    # The module tells what the SDK's classes have fields for. What LiteLLM adds is in the answer too, so we tell it.
    "response.choices[].provider_specific_fields: only ours",
}
if CHAT_MESSAGES_HAVE_PROVIDER_FIELDS:
    UNKNOWN_TO_THE_SDK.add("response.choices[].message.provider_specific_fields: only ours")


def compared(theirs: dict[str, Any], ours: dict[str, Any]) -> set[str]:
    """All differences between two payloads; those of the times as one."""
    found = differences(theirs, ours)
    return {one if not one.startswith("timestamps.") else "timestamps" for one in found}


def test_the_official_module_tells_the_same_of_chats(
    gateway: Proxy,
    endpoint: ReconifyEndpoint,
    provider: Provider,
    told: Told,
    user: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = gateway.openai(user, include_system_prompt=False)
    module = official("reconifyOpenAIHandler", client, endpoint, monkeypatch)
    provider.answer(Answer(), Answer(tool_calls=CALLS), Answer(text="Sunny."))
    client.chat.completions.create(
        model=CHAT_MODEL, messages=HELLO
    )  # for the session's id, which the module is to know
    module.setUser({"userId": user})
    module.setSession(told.payload["session"])
    module.setSessionTimeout(10)
    said = {"role": "assistant", "content": 'You said: "Hello.".'}
    question = {"role": "user", "content": [{"type": "text", "text": "The weather?"}]}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in CALLS
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in CALLS]
    begun = [*HELLO, said, question]
    for asked, n in ((begun, 1), ([*begun, {"role": "assistant", "tool_calls": calls}, *results], 2)):
        client.chat.completions.create(
            model=CHAT_MODEL,
            messages=asked,
            tools=TOOLS,
            n=n,
            temperature=0.5,
            user=user,
            metadata={"team": "blue"},
            logit_bias={"50256": -100},
        )

    _, *pairs = zip(told.payloads(3, "/track/official"), told.payloads(3), strict=True)
    for theirs, ours in pairs:
        assert compared(theirs, ours) == ENVELOPE | UNKNOWN_TO_THE_SDK


def test_the_official_module_tells_the_same_of_anthropics_messages(
    gateway: Proxy,
    endpoint: ReconifyEndpoint,
    provider: Provider,
    told: Told,
    user: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client: Any = gateway.anthropic(user, include_system_prompt=False)
    client.completions = type("Gone", (), {"create": None})()  # the module wants what newer SDKs do not have
    module = official("reconifyAnthropicHandler", client, endpoint, monkeypatch)
    module.setUser({"userId": user})
    module.setSessionTimeout(10)
    provider.answer(Answer(text="Let me see.", tool_calls=CALLS[:1]))
    client.messages.create(
        model=CLAUDE_MODEL,
        max_tokens=100,
        system="Be kind.",
        messages=HELLO,
        tools=[{"name": "weather", "input_schema": {"type": "object"}}],
        metadata={"user_id": "u-1"},
    )

    [theirs] = told.payloads(1, "/track/official")
    session = told.payload["session"]
    assert compared(theirs, told.payload) == ENVELOPE | {f"session: '' is {session!r} in ours"}
    assert told.payload["reconify"]["format"] == "anthropic"


MODELS = {"anthropic": CLAUDE_MODEL, "gemini": GEMINI_MODEL}
"""By API; of the others `CHAT_MODEL`."""
OF_STREAMS = {"stream", "stream_options"}
ONLY_IN_STREAMS = {"response.usage.cost: only ours"}
"""LiteLLM writes the cost of a call into the usage of its streams, so the client gets it there only."""
IDS_AND_TIMES = {"id", "created", "session", "timestamps", "userId"}


def alike(value: Any) -> Any:
    """Without ids, times, what asks for a stream, and what holds nothing: LiteLLM writes fields into whole answers that
    are empty and that it leaves out of streams.
    """
    if isinstance(value, dict):
        kept = {key: alike(item) for key, item in value.items() if key not in OF_STREAMS | IDS_AND_TIMES}
        return {key: item for key, item in kept.items() if item not in (None, {}, [])}
    return [alike(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_streamed_and_whole_are_told_alike_with_the_model_that_the_provider_knows(
    gateway: Proxy, provider: Provider, told: Told, user: str, sdk: Sdk
) -> None:
    tools = sdk.name != "completions"
    provider.answer(*[Answer(text="Let me see.", tool_calls=CALLS if tools else ())] * 2)
    model = MODELS.get(sdk.name, CHAT_MODEL)
    for number, stream in enumerate((False, True), start=1):
        turns = [sdk.user_says("Hello.")]
        sdk.ask(gateway, f"{user}-{stream}", turns, model=f"our-{model}", stream=stream, tools=tools)
        told.payloads(number)

    whole, streamed = told.payloads(2)
    alias = f"response.model: 'our-{model}' is {model!r} in ours"  # LiteLLM says the one or the other
    assert set(differences(alike(whole), alike(streamed))) <= ONLY_IN_STREAMS | {alias}
    assert [payload["request"]["model"] for payload in (whole, streamed)] == [model, model]
    assert "Let me see." in json.dumps(whole["response"])
    assert json.dumps(streamed["response"]).count("weather") == (2 if tools else 0)
    assert whole["session"] != streamed["session"]
    assert re.fullmatch(r"[0-9a-f]{32}", whole["session"]), "alphanumeric"


def test_the_request_is_the_one_that_the_provider_got(
    gateway: Proxy, provider: Provider, told: Told, user: str
) -> None:
    first = gateway.ask(user, "My cat is called Felix.", session_timeout_seconds=SHORT)
    Memory(gateway).wait_processed(user, first.session_id)
    second = gateway.ask(user, "What is my cat called?", session_timeout_seconds=90)

    reached = provider.last.json
    payload = told.payloads(2)[1]
    assert "Felix" in reached["messages"][-1]["content"], "memory was injected"
    assert {key: value for key, value in payload["request"].items() if key in reached} == reached
    assert payload["response"]["choices"][0]["message"]["content"] == second.text
    assert (payload["session"], payload["sessionTimeout"]) == (second.session_id, 2)
    assert payload["user"] == {"userId": user}
    assert 0 < payload["timestamps"]["request"] <= payload["timestamps"]["response"]


@pytest.mark.slow
def test_the_request_can_be_told_as_the_client_wrote_it(
    private: Proxy, provider: Provider, told: Told, user: str
) -> None:
    first = private.ask(user, "My cat is called Felix.", session_timeout_seconds=SHORT)
    Memory(private).wait_processed(user, first.session_id)
    client = private.openai(user)
    model = f"openai/{CHAT_MODEL}"
    client.chat.completions.create(model=model, messages=[{"role": "user", "content": "My cat?"}], seed=5)

    assert "Felix" in provider.last.user_text, "memory was injected"
    assert told.payloads(2)[1]["request"] == {
        "model": model,
        "messages": [{"role": "user", "content": "My cat?"}],
        "seed": 5,
    }


ABOUT = {"X-Reconify-User-First-Name": "Jane", "X-Reconify-User-Is-Authenticated": "1"}


def test_the_user_is_told_and_nobody_else_sees_of_it(gateway: Proxy, provider: Provider, told: Told, user: str) -> None:
    client: Any = gateway.anthropic(user)
    client.messages.create(
        model=CLAUDE_MODEL,
        max_tokens=9,
        messages=HELLO,
        metadata={"reconify_user": {"email": "jane@doe.example", "firstName": "J"}},
        extra_headers=ABOUT,
    )

    assert told.payload["user"] == {
        "userId": user,
        "isAuthenticated": 1,
        "firstName": "Jane",
        "email": "jane@doe.example",
    }
    assert "metadata" not in told.payload["request"]
    [reached] = provider.recorded
    assert "metadata" not in reached.json, "an emptied metadata goes too"
    assert "reconify" not in repr(reached).lower()


def test_what_is_wrong_about_the_user_is_refused_with_its_name(
    gateway: Proxy, provider: Provider, told: Told, user: str
) -> None:
    before = queued(gateway)
    with pytest.raises(openai.BadRequestError) as raised:
        gateway.openai(user).chat.completions.create(
            model=CHAT_MODEL,
            messages=HELLO,
            metadata={"reconify_user": '{"phone": ""}'},
            extra_headers={"X-Reconify-User-Email": "nobody"},
        )
    assert "X-Reconify-User-Email: must be an e-mail address" in raised.value.message
    assert "metadata.reconify_user.phone: must have 1 to 256 characters" in raised.value.message
    assert raised.value.code == "invalid_reconify_user"
    assert provider.recorded == [], "the model is not called"
    assert queued(gateway) == before


def test_failed_requests_and_those_that_are_no_recallr_requests_are_not_told(
    gateway: Proxy, provider: Provider, told: Told, user: str
) -> None:
    before = queued(gateway)
    gateway.ask(None, "Hello.")
    gateway.ask(user, "Hello.", memory="off")
    with pytest.raises(openai.AuthenticationError):
        gateway.ask(user, "Hello.", api_key="wrong")
    provider.answer(Answer(status=500))
    with pytest.raises(openai.InternalServerError):
        gateway.ask(user, "Hello.")
    with gateway.openai() as client:
        client.chat.completions.create(
            model=CHAT_MODEL,
            messages=HELLO,
            metadata={"reconify_user": "mine"},
            extra_headers={"X-Reconify-User-Email": "odd"},
        )
    assert queued(gateway) == before, "what such a request says of its user is taken off, and not judged"
    assert "reconify" not in repr(provider.last).lower()


@pytest.mark.slow
def test_with_scope_all_they_are_told(private: Proxy, provider: Provider, told: Told) -> None:
    with private.openai() as client:
        for stream in (False, True):
            options: Any = {"stream": True} if stream else {}
            email = {"X-Reconify-User-Email": "jane@doe.example"} if stream else {}
            raw = client.chat.completions.with_raw_response.create(
                model=CHAT_MODEL, messages=HELLO, extra_headers=email, **options
            )
            if stream:
                list(raw.parse())
            assert not [name for name in raw.headers if name.startswith("x-recallr-")], (
                "they pass as if we were not there"
            )
            told.payloads(1 + stream)

    whole, streamed = told.payloads(2)
    for payload in (whole, streamed):
        assert "session" not in payload
        asked = {"stream": True} if payload is streamed else {}
        assert payload["request"] == {"model": CHAT_MODEL, "messages": HELLO, **asked}, "as the client wrote it"
        assert payload["response"]["choices"][0]["message"]["content"] == 'You said: "Hello.".'
        assert payload["response"]["choices"][0]["finish_reason"] == "stop"
    assert "user" not in whole
    assert streamed["user"] == {"email": "jane@doe.example"}


def test_texts_are_redacted_before_they_are_queued(gateway: Proxy, provider: Provider, told: Told, user: str) -> None:
    provider.answer(Answer(text=f"So it is {SECRET}."))
    gateway.ask(user, f"My word is {SECRET}.", include_system_prompt=False)

    assert told.payload["request"]["messages"] == [{"role": "user", "content": "My word is ***."}]
    assert told.payload["response"]["choices"][0]["message"]["content"] == "So it is ***."
    assert SECRET in provider.last.user_text, "the model got it as it was"


def test_a_forwarded_request_is_told_without_its_key(gateway: Proxy, provider: Provider, told: Told, user: str) -> None:
    client = openai.OpenAI(
        base_url=f"{gateway.url}/api/v1/forward/{provider.base_url}",
        api_key="sk-of-the-client",
        default_headers=gateway.headers(user, include_system_prompt=False),
        http_client=openai.DefaultHttpxClient(trust_env=False),
        max_retries=0,
    )
    client.chat.completions.create(model="their-model", messages=HELLO, extra_body={"of_tomorrow": 1})

    assert told.payload["request"] == {"model": "their-model", "messages": HELLO}, "only what the API documents"
    assert "sk-of-the-client" not in json.dumps(told.payload)
    assert provider.last.headers["authorization"] == "Bearer sk-of-the-client"
