"""The forward URL: the client's own provider with the client's own key, and nothing else, here or elsewhere."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai

from tests.support import witness
from tests.support.clients import SDKS, Answered, Sdk
from tests.support.hostile_urls import CHAT
from tests.support.listeners import Listener
from tests.support.provider import Answer, Provider, Recorded, ThreadedProvider
from tests.support.proxy import ALWAYS, API_KEY, CHAT_MODEL, ONCE_KNOWN, OTHER_API_KEY, Proxy
from tests.support.waiting import eventually

KEY = "sk-of-the-client-itself"
CLAUDE = "claude-of-the-tests"
GATEWAYS_KEY = "sk-of-the-provider"
"""What `Proxy` configures for the gateway's own models."""
HELLO = [{"role": "user", "content": "Hello there."}]


@dataclass(frozen=True)
class Gateway:
    """A proxy and the upstreams around it."""

    proxy: Proxy
    provider: ThreadedProvider
    silent: Listener
    """An allowed upstream that counts its connections."""
    other: Listener
    """One that is not allowed."""
    redirecting: str
    """Origin of an allowed upstream that redirects to `other`."""
    witnessed: Path
    """What another callback of the gateway has been given."""

    @property
    def origin(self) -> str:
        return self.provider.base_url.removesuffix("/v1")

    def url(self, upstream: str) -> str:
        return f"{self.proxy.url}/api/v1/forward/{upstream}"

    def openai(self, user: str | None, key: str = KEY, upstream: str = "", **options: object) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.url(upstream or self.provider.base_url),
            api_key=key,
            default_headers=self.proxy.headers(user, **options),
            http_client=openai.DefaultHttpxClient(trust_env=False),
            max_retries=0,
        )

    def anthropic(self, user: str) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            base_url=self.url(self.origin),
            api_key=KEY,
            default_headers=self.proxy.headers(user),
            http_client=anthropic.DefaultHttpxClient(trust_env=False),
            max_retries=0,
        )

    def gemini(self, user: str) -> genai.Client:
        options = genai.types.HttpOptions(
            base_url=self.url(self.origin), api_version="v1beta", headers=self.proxy.headers(user)
        )
        return genai.Client(api_key=KEY, http_options=options)

    def post(self, upstream: str, body: Any = None, *, user: str | None = "u", **headers: str | None) -> httpx.Response:
        """A request without any SDK. Headers by name in snake case; None leaves out what is there otherwise."""
        sent = {"authorization": f"Bearer {KEY}", **self.proxy.headers(user)}
        changes = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if name.lower() not in changes}
        sent |= {name: value for name, value in changes.items() if value is not None}
        content = body if isinstance(body, bytes) else json.dumps(body or {"model": CHAT_MODEL, "messages": HELLO})
        return httpx.post(self.url(upstream), content=content, headers=sent, timeout=60, trust_env=False)


@pytest.fixture(scope="module")
def running(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with everything turned on that could lead a forwarded request astray."""
    folder = tmp_path_factory.mktemp("forward")
    answer = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    with contextlib.ExitStack() as stack:
        silent, other = stack.enter_context(Listener(answer=answer)), stack.enter_context(Listener(answer=answer))
        moved = f"HTTP/1.1 307 Moved\r\nlocation: http://{other.address}/v1\r\ncontent-length: 0\r\n\r\n".encode()
        redirecting = f"http://{stack.enter_context(Listener(answer=moved)).address}"
        upstreams = [running_provider.base_url.removesuffix("/v1"), f"http://{silent.address}", redirecting]
        proxy = Proxy(
            folder,
            running_provider,
            callbacks=[f"{witness.__name__}.witness"],
            settings={"RECALLR_FORWARD_UPSTREAMS": json.dumps(upstreams), "OPENAI_ORG_ID": "org-of-the-gateway"},
            config={
                "litellm_settings": {
                    "cache": True,
                    "cache_params": {"type": "local"},
                    "num_retries": 2,
                    "default_fallbacks": [CHAT_MODEL],
                    "forward_llm_provider_auth_headers": True,
                },
                "router_settings": {"num_retries": 2},
                "mcp_servers": {"files": {"url": f"http://{other.address}/mcp", "allow_all_keys": True}},
                "general_settings": {"forward_client_headers_to_llm_api": True},
            },
            arguments=["--detailed_debug"],
        )
        stack.enter_context(proxy)
        yield Gateway(proxy, running_provider, silent, other, redirecting, folder / witness.WITNESSED)


@pytest.fixture
def gateway(running: Gateway, provider: Provider) -> Gateway:
    """The gateway, the provider's script and records cleared."""
    return running


def ask(client: openai.OpenAI, text: str, *, stream: bool = False, **body: Any) -> str:
    messages: Any = [{"role": "user", "content": text}]
    create = client.chat.completions.create
    if not stream:
        return create(model=body.pop("model", CHAT_MODEL), messages=messages, **body).choices[0].message.content or ""
    chunks = create(model=CHAT_MODEL, messages=messages, stream=True, **body)
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def only(provider: Provider) -> Recorded:
    """The one request that reached the provider. Fails the test if there was none, or another."""
    recorded = provider.recorded
    assert [request.path for request in recorded] == [recorded[0].path if recorded else "one request"]
    return recorded[0]


def key_of(request: Recorded) -> str:
    """The key that a request brought its provider, wherever it stood."""
    names = ("authorization", "x-api-key", "x-goog-api-key")
    keys = [request.headers[name].removeprefix("Bearer ") for name in names if name in request.headers]
    assert len(keys) == 1, f"one key, not {len(keys)}, in {sorted(request.headers)}"
    return keys[0]


def ours(response: httpx.Response) -> set[str]:
    return {name for name in response.headers if name.startswith("x-recallr-")}


# --- what works ----------------------------------------------------------------------------------------------------


ROUTES = {
    "chat": (CHAT_MODEL, "/v1/chat/completions"),
    "responses": (CHAT_MODEL, "/v1/responses"),
    "completions": ("gpt-3.5-turbo-instruct", "/v1/completions"),
    "anthropic": (CLAUDE, "/v1/messages"),
    "gemini": ("gemini-2.0-flash", "/v1beta/models/gemini-2.0-flash:generateContent"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.name)
def test_the_sdk_of_each_api_reaches_its_provider_and_is_remembered(
    gateway: Gateway, provider: Provider, user: str, sdk: Sdk, stream: bool
) -> None:
    model, path = ROUTES[sdk.name]

    def say(text: str) -> Answered:
        via: Any = gateway  # it makes clients as a proxy does
        return sdk.ask(via, user, [sdk.user_says(text)], model=model, stream=stream)

    answered = say("My cat is called Felix.")
    say("What is my cat called?")

    assert "My cat is called Felix." in answered.text
    assert {name for name in answered.headers if name.startswith("x-recallr-")} == ONCE_KNOWN
    assert answered.headers["x-recallr-user-id"] == user
    first, second = provider.recorded
    wanted = path.replace(":generate", ":streamGenerate") if stream else path
    assert [first.path, second.path] == [wanted, wanted], "the client's path, at the client's upstream"
    assert [key_of(first), key_of(second)] == [KEY, KEY], "with the client's own key"
    assert b"<recallr_memory now" not in first.body, "there is nothing to remember yet"
    assert b"<recallr_memory now" in second.body, "the second request has the memory block"
    assert b"My cat is called Felix." in second.body, "what was said in the first request is known in the second"


MEANT_FOR_LITELLM: dict[str, Any] = {
    "api_base": "http://{other}/v1",
    "base_url": "http://{other}/v1",
    "api_key": "sk-x",
    "user_config": {"model_list": []},
    "fallbacks": [CHAT_MODEL],
    "mock_response": "No one was asked.",
    "custom_llm_provider": "azure",
    "guardrails": ["x"],
    "cache": {"no-cache": False},
    "extra_headers": {"x-evil": "1"},
    "extra_body": {"api_base": "http://{other}"},
    "litellm_metadata": {"tags": ["x"]},
    "num_retries": 5,
    "timeout": 0.0001,
    "vertex_credentials": "/etc/passwd",
    "no-log": True,
    "metadata": {"tags": ["x"], "session_id": "s"},
    "of_tomorrow": {"new": 1},
    # of what the gateway owns: a prompt, a skill, an MCP server, a vector store, a file
    "prompt_id": "of-the-gateway",
    "container": {"skills": [{"type": "custom", "skill_id": "litellm_skill_1"}]},
    "tools": [
        {"type": "mcp", "server_label": "files", "server_url": "litellm_proxy/mcp/files"},
        {"type": "file_search", "vector_store_ids": ["vs_gateway"]},
    ],
    "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "bGl0"}]}],
}


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
def test_every_field_of_the_body_reaches_the_provider_and_means_nothing_here(
    gateway: Gateway, provider: Provider, user: str, path: str
) -> None:
    fields = json.loads(json.dumps(MEANT_FOR_LITELLM).replace("{other}", gateway.other.address))
    body = {"model": CHAT_MODEL, "messages": HELLO, "max_tokens": 9, **fields}
    before = gateway.other.connections
    response = gateway.post(gateway.origin + path, body, user=user, x_recallr_include_system_prompt="false")
    assert response.status_code == 200, response.text
    sent = only(provider)
    assert sent.json == body
    assert key_of(sent) == KEY
    assert gateway.other.connections == before, "no server of the gateway's is asked"


def test_the_key_of_gemini_may_stand_in_the_url(gateway: Gateway, provider: Provider, user: str) -> None:
    upstream = f"{gateway.origin}/v1beta/models/gemini-2.0-flash:generateContent?key={KEY}"
    body = {"contents": [{"parts": [{"text": "Hello."}], "role": "user"}]}
    assert gateway.post(upstream, body, user=user, authorization=None).status_code == 200
    request = only(provider)
    assert key_of(request) == KEY
    assert request.headers["x-goog-api-key"] == KEY, "it is sent on in a header, not in a URL that is logged"


# --- what is refused -----------------------------------------------------------------------------------------------


def raw_post(gateway: Gateway, target: str) -> tuple[int, dict[str, str], bytes]:
    """A request as bytes: no library of the client's corrects the URL."""
    body = json.dumps({"model": CHAT_MODEL, "messages": HELLO}).encode()
    headers = {
        **gateway.proxy.headers("u"),
        "Host": "gateway",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with socket.create_connection(("127.0.0.1", gateway.proxy.port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + body)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    found = (field.partition(": ") for field in fields)
    return int(status.split()[1]), {name.lower(): value for name, _, value in found}, content


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/forward/http://{other}" + CHAT,
        "/api/v1/forward/http://{allowed}@{other}" + CHAT,
        "/api/v1/forward/../../../key/generate",
        "/api/v1/%66orward/http://{allowed}" + CHAT,
        "/api/v1/forward/http://127.0.0.1\t:{port}" + CHAT,
        "http://{other}/api/v1/forward/http://{other}" + CHAT,
    ],
)
def test_hostile_urls_lead_nowhere(gateway: Gateway, provider: Provider, target: str) -> None:
    """More of them: `tests/unit/forward/test_urls.py`."""
    before, others = gateway.silent.connections, gateway.other.connections
    places = {"allowed": gateway.silent.address, "port": gateway.silent.port, "other": gateway.other.address}
    status, _, content = raw_post(gateway, target.format(**places))
    assert status in {400, 401, 403, 404, 405}, content
    assert (gateway.silent.connections, gateway.other.connections, provider.recorded) == (before, others, [])


@pytest.mark.parametrize("wrong", [{"x_recallr_api_key": "rai_wrong"}, {"x_recallr_api_key": OTHER_API_KEY}, {}])
def test_the_recallr_key_comes_before_anything_else(
    gateway: Gateway, provider: Provider, wrong: dict[str, str | None]
) -> None:
    changes: dict[str, str | None] = wrong or {
        name.lower().replace("-", "_"): None for name in gateway.proxy.headers("u")
    }
    answers = {
        (response.status_code, response.text)
        for upstream in (gateway.provider.base_url, f"http://{gateway.other.address}", "nonsense", "http://a@b")
        for response in [gateway.post(f"{upstream}/chat/completions", **changes, authorization=None)]
    }
    assert len(answers) == 1, f"what is allowed can be told from outside: {answers}"
    status, text = answers.pop()
    assert status == 401
    assert json.loads(text)["error"]["code"] == "invalid_recallr_api_key"
    assert provider.recorded == []


def test_memory_off_does_not_open_it_without_a_key(gateway: Gateway, provider: Provider) -> None:
    url = gateway.provider.base_url + "/chat/completions"
    response = gateway.post(url, x_recallr_memory="off", x_recallr_api_key=None)
    assert response.status_code == 401, "the forward URL is for holders of a Recallr key"
    assert provider.recorded == []
    assert gateway.post(url, x_recallr_memory="off").status_code == 200


def test_refusals_are_the_errors_of_each_sdk(gateway: Gateway, user: str) -> None:
    elsewhere = f"http://{gateway.other.address}"
    with pytest.raises(openai.PermissionDeniedError) as refused:
        ask(gateway.openai(user, upstream=f"{elsewhere}/v1"), "Hello.")
    assert refused.value.code == "upstream_not_allowed"
    with pytest.raises(openai.AuthenticationError):
        ask(gateway.openai(user, api_key="rai_wrong"), "Hello.")
    client = gateway.anthropic(user).with_options(base_url=gateway.url(elsewhere))
    with pytest.raises(anthropic.PermissionDeniedError) as denied:
        client.messages.create(model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "Hello."}])
    body: Any = denied.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "permission_error"
    response = gateway.post(f"{elsewhere}/v1beta/models/gemini-2.0-flash:generateContent", {"contents": []})
    assert response.json()["error"]["status"] == "PERMISSION_DENIED"


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages", "/v1beta/models/m:generateContent"])
def test_a_request_without_a_key_for_the_provider_is_refused(gateway: Gateway, provider: Provider, path: str) -> None:
    for key in (None, "", "Bearer"):
        response = gateway.post(gateway.origin + path, authorization=key)
        assert response.status_code == 401
        assert "API key" in response.json()["error"]["message"]
        assert ours(response) >= ALWAYS
    assert provider.recorded == [], "neither with the gateway's own key"


def test_other_methods_are_refused(gateway: Gateway, provider: Provider) -> None:
    url = gateway.url(gateway.provider.base_url + "/chat/completions")
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        with_key = httpx.request(method, url, headers=gateway.proxy.headers("u"), trust_env=False)
        assert with_key.status_code == 405, method
        assert with_key.headers["allow"] == "POST"
        assert httpx.request(method, url, trust_env=False).status_code == 401, method
    assert provider.recorded == []


def test_websockets_are_refused(gateway: Gateway) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **gateway.proxy.headers("u")}
    url = gateway.url(gateway.provider.base_url + "/realtime")
    response = httpx.get(url, headers=headers, trust_env=False)
    assert response.status_code == 403


@pytest.mark.parametrize("body", [b" ", b"not JSON", b"[]", b"null", b"\xff\xfe{}", b"[" * 100_000 + b"]" * 100_000])
def test_what_is_no_json_object_is_refused(gateway: Gateway, provider: Provider, body: bytes) -> None:
    response = gateway.post(gateway.provider.base_url + "/chat/completions", body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == "invalid_forward_body"
    assert provider.recorded == []


# --- alone with its upstream ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500])
def test_a_failed_call_is_not_tried_again_nor_elsewhere(
    gateway: Gateway, provider: Provider, user: str, status: int
) -> None:
    provider.answer(Answer(status=status))
    with pytest.raises(openai.APIStatusError) as failed:
        ask(gateway.openai(user), "Hello.", stream=status == 500)
    assert failed.value.status_code == status
    assert key_of(only(provider)) == KEY, "no retry, and no fallback to a model of the gateway"
    assert ours(failed.value.response) >= ALWAYS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_redirects_are_not_followed(gateway: Gateway, user: str, stream: bool) -> None:
    before = gateway.other.connections
    with pytest.raises(openai.APIStatusError) as failed:
        ask(gateway.openai(user, upstream=f"{gateway.redirecting}/v1"), "Hello.", stream=stream)
    assert failed.value.status_code == 502
    assert failed.value.code == "upstream_failed"
    assert ours(failed.value.response) >= ALWAYS
    assert gateway.other.connections == before, "the key went where the upstream pointed to"


def test_the_gateways_own_requests_go_on_as_before(gateway: Gateway, provider: Provider, user: str) -> None:
    ask(gateway.openai(user), "Forwarded.")
    with gateway.proxy.openai(user) as client:
        ask(client, "On the gateway's own model.")
    assert [key_of(request) for request in provider.recorded] == [KEY, GATEWAYS_KEY]


def test_keys_are_seen_by_nobody_else(gateway: Gateway, provider: Provider, user: str) -> None:
    secret = "a-secret-of-the-clients-own"  # not like a key: LiteLLM keeps what looks like one out of its log
    body = {"model": CHAT_MODEL, "messages": HELLO}
    authorization = f"Bearer {secret}"
    url = gateway.provider.base_url
    for stream in (False, True):
        for path, more in (("/chat/completions", {}), ("/responses", {"input": "Hello."})):
            sent = gateway.post(url + path, {**body, **more, "stream": stream}, user=user, authorization=authorization)
            assert sent.status_code == 200, sent.text
            assert secret not in sent.text + str(sent.headers)
    provider.answer(Answer(status=401), Answer(status=500))
    for _ in range(2):
        failed = gateway.post(f"{url}/chat/completions", body, user=user, authorization=authorization)
        assert failed.is_error
        assert secret not in failed.text + str(failed.headers)
    contents = {"contents": [{"parts": [{"text": "The last of all."}]}]}
    model = f"{gateway.origin}/v1beta/models/gemini-2.0-flash:generateContent?key={secret}"
    assert gateway.post(model, contents, user=user, authorization=None).status_code == 200

    for request in provider.recorded:
        assert key_of(request) == secret
        everything = str(request.headers) + request.body.decode()
        assert gateway.proxy.master_key not in everything, "the gateway's key went to the upstream"
        assert API_KEY not in everything, "the Recallr key went to the upstream"

    with gateway.proxy.openai() as client:
        ask(client, "Said on the gateway's own route.")

    def seen() -> str:
        return gateway.witnessed.read_text()

    eventually(seen, "callbacks see the gateway's own requests", until=lambda text: "the gateway's own route" in text)
    assert "The last of all." not in seen(), "LiteLLM's callbacks got a forwarded request"
    log = gateway.proxy.log
    assert "api/v1/forward" in log, "the log shows what was asked for"
    for where, text in (("LiteLLM's other callbacks", seen()), ("the log", log)):
        assert secret not in text, f"the provider's key is seen by {where}"
        assert API_KEY not in text, f"the Recallr key is seen by {where}"


def test_a_gateway_of_the_defaults_forwards_to_the_three_providers_only(proxy: Proxy, provider: Provider) -> None:
    headers = {"authorization": f"Bearer {KEY}", **proxy.headers("u")}
    url = f"{proxy.url}/api/v1/forward/{provider.base_url}/chat/completions"
    response = httpx.post(url, json={"model": CHAT_MODEL, "messages": HELLO}, headers=headers, trust_env=False)
    assert response.status_code == 403
    assert provider.recorded == []
