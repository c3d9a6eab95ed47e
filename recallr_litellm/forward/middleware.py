"""The ASGI side of the forward URL: checks a request, adds memory, has it sent and answers errors."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from recallr_litellm.errors import ForwardRefused, KeysUnavailable, RequestError, Unauthorized
from recallr_litellm.formats.gemini import GEMINI
from recallr_litellm.forward.endpoints import SUPPORTED, Api, Endpoint, api_named
from recallr_litellm.forward.upstream import REQUEST_HEADERS, Headers, UpstreamClient
from recallr_litellm.gateway.asgi import FORWARD_PREFIX, App, Event, Receive, Send, path_of
from recallr_litellm.gateway.call import CURRENT, Call
from recallr_litellm.json_text import parsed, written
from recallr_litellm.litellm_host.rejections import rejection
from recallr_litellm.metrics import REJECTED
from recallr_litellm.upstream_urls import Upstreams

_KEY_HEADERS = {
    Api.MESSAGES: ("x-api-key", "authorization"),
    Api.GEMINI: ("x-goog-api-key", "authorization"),
    Api.GEMINI_STREAM: ("x-goog-api-key", "authorization"),
}
_DEFAULT_KEY_HEADERS = ("authorization",)
"""Where the client's SDK puts the provider's key."""

_PASSED_ON = frozenset(name.encode() for name in REQUEST_HEADERS)

_MOST_BYTES = 128 * 1024 * 1024
"""Of a request's body, which is read whole."""

Enrich = Callable[[Call, dict[str, Any], str], Awaitable[None]]
"""Puts memory into a request body of this call type; raises `RequestError` for one that must be refused."""
Sent = Callable[[Call, dict[str, Any]], None]
"""Is given each body as it goes to the upstream."""


class KeyOutOfUrl:
    """Outermost: takes the query off forward URLs, so that no access log has the key which Gemini's may hold.

    Args:
        app: the application, which finds the key in Gemini's header for it.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one connection or request; all that are not to the forward URL pass through untouched."""
        if scope["type"] in ("http", "websocket") and path_of(scope).startswith(FORWARD_PREFIX):
            # the server's own scope is changed, not a copy: that is the one it logs
            query, scope["query_string"] = parse_qs(scope.get("query_string", b"").decode("latin-1")), b""
            keys = [key for key in query.get("key", ()) if key.isascii() and key.isprintable()]
            if keys and not any(name.lower() == b"x-goog-api-key" for name, _ in scope["headers"]):
                scope["headers"] = [*scope["headers"], (b"x-goog-api-key", keys[0].encode())]
        await self._app(scope, receive, send)


class Forward:
    """Serves the forward URL; stands between `RecallrMiddleware` and LiteLLM's application.

    Args:
        app: LiteLLM's application, which serves everything else.
        authenticate: checks project and Recallr key, or raises `Unauthorized` or `KeysUnavailable`.
        client: sends the requests.
    """

    def __init__(
        self,
        app: App,
        *,
        upstreams: Upstreams,
        authenticate: Callable[[str | None, str | None], None],
        enrich: Enrich,
        client: UpstreamClient,
        sent: Sent,
    ) -> None:
        self._app = app
        self._upstreams = upstreams
        self._authenticate = authenticate
        self._enrich = enrich
        self._client = client
        self._sent = sent

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one request; all that are not to the forward URL pass through untouched."""
        if scope["type"] not in ("http", "websocket") or not path_of(scope).startswith(FORWARD_PREFIX):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Event, receive: Receive, send: Send) -> None:
        call, target, started = CURRENT.get(), _target(scope), False

        async def sending(event: Event) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            if call is None:
                raise Unauthorized("X-Recallr-API-Key is missing", param="X-Recallr-API-Key")
            call.awake = call.forwarded = True
            try:
                admitted = await self._admit(call, scope, target, receive)
            except RequestError as error:
                REJECTED.labels(error.code).inc()
                call.reason = error.code
                raise
            if admitted is None:
                return
            endpoint, headers, body = admitted
            await self._enrich(call, body, endpoint.api)
            self._sent(call, body)
            if endpoint.model is not None:
                body.pop("model")
            await self._client.relay(endpoint.url, headers, _written(body), receive, sending)
        except RequestError as error:
            if started:  # the server breaks the answer off, so that the client does not take it for a whole one
                raise
            await _answer(error, api_named(target), send)

    async def _admit(
        self, call: Call, scope: Event, target: str, receive: Receive
    ) -> tuple[Endpoint, Headers, dict[str, Any]] | None:
        """Check a request, the Recallr key before anything else.

        Returns:
            Where it goes, the headers that go along, the client's key among them, and its body. None: the client has
            gone.
        """
        try:
            self._authenticate(call.raw.first("project-id"), call.raw.first("api-key"))
        except KeysUnavailable:
            message = "the Recallr key cannot be checked just now; try again later"
            raise ForwardRefused("recallr_keys_unavailable", message) from None
        location = self._upstreams.allow(target)
        if location is None:
            message = "this gateway does not forward to that upstream; see RECALLR_FORWARD_UPSTREAMS"
            raise ForwardRefused("upstream_not_allowed", message)
        endpoint = Endpoint.at(location)
        if endpoint is None:
            raise ForwardRefused("endpoint_not_supported", f"forward URLs end in one of {SUPPORTED}")
        if scope["method"] != "POST":
            raise ForwardRefused("method_not_supported", "forward URLs take POST only")
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        key_header, key = _key(endpoint.api, headers)
        raw = await _whole(receive)
        if raw is None:
            return None
        passed_on = [(name.lower(), value) for name, value in scope["headers"] if name.lower() in _PASSED_ON]
        sent = [*passed_on, (key_header.encode(), key.encode("latin-1"))]
        return endpoint, sent, _body(raw, endpoint)


def _target(scope: Event) -> str:
    """The upstream's URL as the client wrote it, nothing decoded; empty when the way to it is not written plainly."""
    raw: bytes = scope.get("raw_path") or b""
    path = raw.decode("latin-1").removeprefix(scope.get("root_path", ""))
    return path.removeprefix(FORWARD_PREFIX) if path.startswith(FORWARD_PREFIX) else ""


def _key(api: Api, headers: Mapping[str, str]) -> tuple[str, str]:
    """Header and value of the client's key for the upstream."""
    names = _KEY_HEADERS.get(api, _DEFAULT_KEY_HEADERS)
    for name in names:
        value = headers.get(name, "").strip()
        if value and value.lower() != "bearer":
            return name, value
    message = f"the upstream's own API key is missing: {' or '.join(names)}"
    raise ForwardRefused("provider_key_missing", message, param=names[0])


def _body(raw: bytes, endpoint: Endpoint) -> dict[str, Any]:
    try:
        body = parsed(raw.decode())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ForwardRefused("invalid_forward_body", "the body must be a JSON object")
    return body if endpoint.model is None else {**body, "model": endpoint.model}


def _written(body: dict[str, Any]) -> bytes:
    try:
        return written(body)
    except (ValueError, RecursionError):
        raise ForwardRefused("invalid_forward_body", "the body is nested too deep") from None


async def _whole(receive: Receive) -> bytes | None:
    """The body. None: the client has gone.

    Raises:
        ForwardRefused: it has more than `_MOST_BYTES`.
    """
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if len(body) > _MOST_BYTES:
            raise ForwardRefused("forward_body_too_large", f"the body must not have more than {_MOST_BYTES >> 20} MB")
        if not event.get("more_body", False):
            return bytes(body)


async def _answer(error: RequestError, api: Api, send: Send) -> None:
    refusal = rejection(error, next(iter(GEMINI.call_types)) if api is Api.GEMINI else "")
    body: dict[str, Any] = {"error": refusal.to_dict()}
    if api is Api.MESSAGES:
        body = {"type": "error", "error": {"type": refusal.type, "message": error.message}}
    content = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    if error.status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
