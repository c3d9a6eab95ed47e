"""`/api/v1/forward/<upstream>`: a client's own provider, with the client's own key, reached through the gateway.

A client that used `https://api.openai.com/v1` sets `<gateway>/api/v1/forward/https://api.openai.com/v1` as its base
URL. The request is checked here and then served by LiteLLM on its own route, let in on the gateway's key; in LiteLLM's
hooks it is directed to the upstream. What LiteLLM has for that: https://docs.litellm.ai/docs/proxy/clientside_auth
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from litellm.constants import CLIENT_REQUESTED_MODEL_SCOPE_KEY
from pydantic import SecretStr

from recallr_litellm.errors import (
    EndpointNotSupported,
    MethodNotSupported,
    ProviderKeyMissing,
    RequestError,
    Unauthorized,
    UpstreamNotAllowed,
)
from recallr_litellm.formats.gemini import GEMINI
from recallr_litellm.forward.body import PLACEHOLDER, parse_body
from recallr_litellm.forward.clients import FORWARDED_HEADERS, ForwardClients
from recallr_litellm.forward.endpoints import SUPPORTED, Api, Endpoint, api_named
from recallr_litellm.forward.request import STAND_IN_KEY, ForwardedRequest
from recallr_litellm.gateway.asgi import App, Event, Receive, Send
from recallr_litellm.gateway.call import CURRENT
from recallr_litellm.litellm_host.rejections import rejection
from recallr_litellm.metrics import REJECTED
from recallr_litellm.upstream_urls import Upstreams

PREFIX = "/api/v1/forward/"

_KEY_HEADERS = {
    Api.MESSAGES: ("x-api-key", "authorization"),
    Api.GEMINI: ("x-goog-api-key", "authorization"),
}
_DEFAULT_KEY_HEADERS = ("authorization",)
"""Where the client's SDK puts the provider's key."""

_KEPT_HEADERS = frozenset(
    b"accept accept-encoding connection forwarded host traceparent tracestate user-agent x-forwarded-for "
    b"x-forwarded-host x-forwarded-proto x-real-ip x-request-id".split()
)
"""Headers that LiteLLM gets to see. Any other may be a key, or a setting of LiteLLM's."""


class KeyOutOfUrl:
    """Outermost: takes the query off forward URLs, so that no access log has the key which Gemini's may hold.

    Args:
        app: the application, which finds the key in Gemini's header for it.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one connection or request; all that are not to the forward URL pass through untouched."""
        if scope["type"] in ("http", "websocket") and _path(scope).startswith(PREFIX):
            # the server's own scope is changed, not a copy: that is the one it logs
            query, scope["query_string"] = parse_qs(scope.get("query_string", b"").decode("latin-1")), b""
            keys = [key for key in query.get("key", ()) if key.isascii() and key.isprintable()]
            if keys and not any(name.lower() == b"x-goog-api-key" for name, _ in scope["headers"]):
                scope["headers"] = [*scope["headers"], (b"x-goog-api-key", keys[0].encode())]
        await self._app(scope, receive, send)


class Forward:
    """Serves the forward URL; stands between `RecallrMiddleware` and LiteLLM's application.

    Args:
        app: LiteLLM's application.
        authenticate: checks project and Recallr key, or raises `Unauthorized`.
        gateway_headers: headers that LiteLLM lets a request in for; asked for each request.
    """

    def __init__(
        self,
        app: App,
        *,
        upstreams: Upstreams,
        authenticate: Callable[[str | None, str | None], None],
        gateway_headers: Callable[[], Mapping[str, str]],
    ) -> None:
        self._app = app
        self._upstreams = upstreams
        self._authenticate = authenticate
        self._gateway_headers = gateway_headers
        self._clients = ForwardClients(STAND_IN_KEY)

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one request; all that are not to the forward URL pass through untouched."""
        if scope["type"] not in ("http", "websocket") or not _path(scope).startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        call = CURRENT.get()
        if call is not None:
            call.awake = True
        target = _target(scope)
        try:
            forwarded = await self._admit(scope, target, receive)
        except RequestError as error:
            REJECTED.labels(error.code).inc()
            if call is not None:
                call.reason = error.code
            await _answer(error, api_named(target), send)
            return
        if forwarded is None or call is None:
            return
        call.forwarded = forwarded
        body = json.dumps(forwarded.body.read).encode()
        await self._app(self._rewritten(scope, forwarded, len(body)), _body_then(body, receive), send)

    async def _admit(self, scope: Event, target: str, receive: Receive) -> ForwardedRequest | None:
        """Check a request, the Recallr key before anything else. None: the client has gone."""
        call = CURRENT.get()
        if call is None:
            raise Unauthorized("X-Recallr-API-Key is missing", param="X-Recallr-API-Key")
        self._authenticate(call.raw.first("project-id"), call.raw.first("api-key"))
        location = self._upstreams.allow(target)
        if location is None:
            raise UpstreamNotAllowed("this gateway does not forward to that upstream")
        endpoint = Endpoint.at(location)
        if endpoint is None:
            raise EndpointNotSupported(f"forward URLs end in one of {SUPPORTED}")
        if scope["method"] != "POST":
            raise MethodNotSupported("forward URLs take POST only")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        key_header, key = _key(endpoint.api, headers)
        raw = await _whole(receive)
        if raw is None:
            return None
        own = {name: headers[name] for name in FORWARDED_HEADERS if name in headers}
        return ForwardedRequest(
            endpoint, await parse_body(raw, endpoint), key_header, SecretStr(key), own, self._clients.client
        )

    def _rewritten(self, scope: Event, forwarded: ForwardedRequest, length: int) -> Event:
        """The request as one to LiteLLM's own route."""
        route = forwarded.endpoint.api.format(model=PLACEHOLDER)
        path = scope.get("root_path", "") + route + (f":{forwarded.endpoint.verb}" if forwarded.endpoint.verb else "")
        headers = [(name, value) for name, value in scope["headers"] if name.lower() in _KEPT_HEADERS]
        headers += [(b"content-type", b"application/json"), (b"content-length", str(length).encode())]
        headers += [(name.encode(), value.encode()) for name, value in self._gateway_headers().items()]
        return {
            **scope,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            CLIENT_REQUESTED_MODEL_SCOPE_KEY: forwarded.body.model,
        }


def _path(scope: Event) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _target(scope: Event) -> str:
    """The upstream's URL as the client wrote it, nothing decoded; empty when the way to it is not written plainly."""
    raw: bytes = scope.get("raw_path") or b""
    path = raw.decode("latin-1").removeprefix(scope.get("root_path", ""))
    return path.removeprefix(PREFIX) if path.startswith(PREFIX) else ""


def _key(api: Api, headers: Mapping[str, str]) -> tuple[str, str]:
    """Header and value of the client's key for the upstream."""
    names = _KEY_HEADERS.get(api, _DEFAULT_KEY_HEADERS)
    for name in names:
        value = headers.get(name, "").strip()
        if value and value.lower() != "bearer":
            return name, value
    raise ProviderKeyMissing(f"the upstream's own API key is missing: {' or '.join(names)}", param=names[0])


async def _whole(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if not event.get("more_body", False):
            return bytes(body)


def _body_then(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives this body, and after it what else comes of the client."""
    pending: Iterable[Event] = [{"type": "http.request", "body": body, "more_body": False}]
    events = iter(pending)

    async def again() -> Event:
        event = next(events, None)
        return event if event is not None else await receive()

    return again


async def _answer(error: RequestError, api: Api, send: Send) -> None:
    refusal = rejection(error, next(iter(GEMINI.call_types)) if api is Api.GEMINI else "")
    body: dict[str, Any] = {"error": refusal.to_dict()}
    if api is Api.MESSAGES:
        body = {"type": "error", "error": {"type": refusal.type, "message": error.message}}
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if isinstance(error, MethodNotSupported):
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
