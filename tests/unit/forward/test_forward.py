"""The forward URL as an ASGI application, with a stand-in for the network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from recallr_litellm.errors import ForwardRefused
from recallr_litellm.forward import middleware
from recallr_litellm.forward.middleware import Forward
from recallr_litellm.forward.upstream import UpstreamClient
from recallr_litellm.gateway.asgi import FORWARD_PREFIX
from recallr_litellm.gateway.call import CURRENT, Call
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.upstream_urls import Upstreams

Answer = Callable[[httpx.Request], httpx.Response]


class Network(httpx.AsyncBaseTransport):
    """Answers in place of the upstream."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[httpx.Request] = []
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        return self.answer(request)


async def post(
    network: Network,
    body: bytes = b'{"model": "m", "messages": []}',
    headers: tuple[tuple[bytes, bytes], ...] = (),
    *,
    goes_away: bool = False,
    more_body: bool = False,
) -> list[dict[str, Any]]:
    """The ASGI events of the answer to one chat request. The client stays, or goes away after its request."""

    async def litellm(*_: Any) -> None:
        raise AssertionError("LiteLLM must not see a forwarded request")

    async def enrich(call: Call, body: dict[str, Any], call_type: str) -> None:
        body["messages"] = ["memory"]

    app = Forward(
        litellm,
        upstreams=Upstreams(["https://api.example"]),
        authenticate=lambda project, key: None,
        enrich=enrich,
        client=UpstreamClient(network),
        sent=lambda call, body: None,
    )
    incoming = [{"type": "http.request", "body": body, "more_body": more_body}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if incoming:
            return incoming.pop()
        if not goes_away:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    path = f"{FORWARD_PREFIX}https://api.example/v1/chat/completions"
    key = (b"authorization", b"Bearer of-the-client")
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": [key, *headers]}
    token = CURRENT.set(Call(RawHeaders(())))
    try:
        await app(scope, receive, send)
    finally:
        CURRENT.reset(token)
    return sent


async def test_only_known_headers_reach_the_upstream_byte_for_byte() -> None:
    network = Network(lambda _: httpx.Response(200, stream=Pieces()))
    await post(network, headers=((b"user-agent", b"caf\xe9"), (b"cookie", b"c"), (b"x-internal", b"secret")))
    [request] = network.asked
    assert request.url == "https://api.example/v1/chat/completions"
    assert (b"user-agent", b"caf\xe9") in [(name.lower(), value) for name, value in request.headers.raw]
    known = {"authorization", "user-agent", "content-type", "accept-encoding", "content-length", "host"}
    assert set(request.headers) <= known | {"accept", "connection"}
    assert json.loads(request.content) == {"model": "m", "messages": ["memory"]}


async def test_each_value_of_a_header_reaches_the_upstream() -> None:
    network = Network(lambda _: httpx.Response(200, stream=Pieces()))
    betas = (b"files-api-2025-04-14", b"mcp-client-2025-11-20", b"context-1m-2025-08-07")
    await post(network, headers=tuple((b"Anthropic-Beta", beta) for beta in betas))
    [request] = network.asked
    assert request.headers.get_list("anthropic-beta", split_commas=True) == [beta.decode() for beta in betas]


async def test_a_body_that_is_too_large_is_refused_before_all_of_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "_MOST_BYTES", 1000)
    network = Network(lambda _: httpx.Response(200, stream=Pieces()))
    start, body = await post(network, b'{"messages": "' + b"x" * 1000, more_body=True)
    assert start["status"] == 413
    assert json.loads(body["body"])["error"]["code"] == "forward_body_too_large"
    assert network.asked == []


async def test_closing_the_client_closes_its_connections() -> None:
    network = Network(lambda _: httpx.Response(200, stream=Pieces()))
    await UpstreamClient(network).close()
    assert network.closed


async def test_headers_of_the_connection_and_of_ours_are_not_returned() -> None:
    returned = {
        "content-type": "application/json",
        "x-ratelimit-remaining-requests": "9",
        "set-cookie": "a=b",
        "transfer-encoding": "chunked",
        "strict-transport-security": "max-age=1",
        "X-Recallr-Session-Id": "forged",
        "access-control-allow-origin": "*",
    }
    start, *_ = await post(Network(lambda _: httpx.Response(429, headers=returned, stream=Pieces(b"{}"))))
    assert start["status"] == 429
    assert dict(start["headers"]) == {
        b"content-type": b"application/json",
        b"x-ratelimit-remaining-requests": b"9",
    }


class Pieces(httpx.AsyncByteStream):
    """A body in pieces; an exception among them breaks it off, None waits for ever."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self._pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            if piece is None:
                await asyncio.Event().wait()
            else:
                yield piece

    async def aclose(self) -> None:
        self.closed = True


async def test_an_answer_that_breaks_off_has_no_end() -> None:
    pieces = Pieces(b"data: 1\n\n", httpx.ReadError("gone"))
    with pytest.raises(ForwardRefused):  # the server closes the connection
        await post(Network(lambda _: httpx.Response(200, stream=pieces)))
    assert pieces.closed


async def test_the_upstream_is_let_go_when_the_client_goes_away() -> None:
    pieces = Pieces(b"data: 1\n\n", None)
    events = await post(Network(lambda _: httpx.Response(200, stream=pieces)), goes_away=True)
    assert not [event for event in events if event["type"] == "http.response.body" and not event["more_body"]]
    assert pieces.closed or not events


@pytest.mark.parametrize(
    ("error", "status"), [(httpx.ConnectError("https://api.example"), 502), (httpx.ReadTimeout("slow"), 504)]
)
async def test_an_upstream_that_fails_is_an_error_of_the_gateway(error: Exception, status: int) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    start, body = await post(Network(fail))
    assert start["status"] == status
    assert json.loads(body["body"])["error"]["code"] == "upstream_failed"


async def test_a_body_nested_too_deep_is_refused() -> None:
    network = Network(lambda _: httpx.Response(200, stream=Pieces()))
    for depth in (500, 1_000_000):
        start, *_ = await post(network, b'{"a": ' + b"[" * depth + b"]" * depth + b"}")
        assert start["status"] in (200, 400)
    assert start["status"] == 400
