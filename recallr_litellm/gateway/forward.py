"""`/api/v1/forward/<upstream>`: a client's own provider, with the client's own key, reached through the gateway.

A client that used `https://api.openai.com/v1` sets `<gateway>/api/v1/forward/https://api.openai.com/v1` as its base
URL. The request is checked here and then served by LiteLLM on its own route, let in on the gateway's key; in LiteLLM's
hooks it is directed to the upstream. What LiteLLM has for that: https://docs.litellm.ai/docs/proxy/clientside_auth
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
from recallr_litellm.gateway.call import CURRENT
from recallr_litellm.gateway.formats.gemini import GEMINI
from recallr_litellm.gateway.forward_body import PLACEHOLDER, ForwardBody, parse_body
from recallr_litellm.gateway.forward_client import FORWARDED_HEADERS, ForwardClients
from recallr_litellm.gateway.middleware import App, Event, Receive, Send
from recallr_litellm.gateway.rejections import rejection
from recallr_litellm.gateway.upstreams import SUPPORTED, Api, Endpoint, Upstreams, api_named
from recallr_litellm.metrics import REJECTED

PREFIX = "/api/v1/forward/"

STAND_IN_KEY = f"recallr-forward-{secrets.token_hex(16)}"
"""What LiteLLM believes to be the provider's key. It marks the calls that are ours to direct; no client can know it."""

_PROVIDERS = {
    Api.CHAT: "openai",
    Api.COMPLETIONS: "text-completion-openai",
    Api.RESPONSES: "openai",
    Api.MESSAGES: "anthropic",
    Api.GEMINI: "gemini",
}
"""LiteLLM's names for who speaks an API."""

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


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A forwarded request that has been let in: where it goes, and with what."""

    endpoint: Endpoint
    body: ForwardBody = field(repr=False)
    key_header: str
    key: SecretStr
    """The client's own, as it stood in that header."""
    headers: Mapping[str, str]
    """Those of the client's that belong to the upstream's API."""
    clients: ForwardClients = field(repr=False)

    def direct(self, data: dict[str, Any]) -> None:
        """Have LiteLLM send a request there and nowhere else: one deployment, no fallback, no retry, no cache.

        Args:
            data: the request, as `async_pre_call_hook` gets it.
        """
        for name in ("api_base", "api_key", "router_settings_override", "fallbacks", "_router_weights"):
            data.pop(name, None)
        unread = self.body.unread
        if unread and self.endpoint.api is not Api.MESSAGES:  # LiteLLM has no way to pass on what is not Anthropic's
            data["extra_body"] = dict(unread)
        deployment = {
            "model_name": self.body.model,
            "litellm_params": {
                "model": f"{_PROVIDERS[self.endpoint.api]}/{PLACEHOLDER}",
                "api_base": self.endpoint.base,
                "api_key": STAND_IN_KEY,
                "max_retries": 0,
            },
            "model_info": {"id": PLACEHOLDER},
        }
        data["model"] = self.body.model
        data["user_config"] = {
            "model_list": [deployment],
            "num_retries": 0,
            "disable_cooldowns": True,
            # with none of its own a router takes over, and appends to, the gateway's
            "fallbacks": [{PLACEHOLDER: []}],
        }
        data["disable_fallbacks"] = True
        data["num_retries"] = 0
        data["cache"] = {"no-cache": True, "no-store": True}

    def arm(self, arguments: dict[str, Any], call_type: str) -> None:
        """Give LiteLLM's call of the upstream the client that holds the key. Other calls are left as they are.

        The model takes its place only here: LiteLLM keeps every name that a router has had for ever.

        Args:
            arguments: of the call, as `async_pre_call_deployment_hook` gets them.
        """
        if arguments.get("api_key") != STAND_IN_KEY:
            return
        if str(arguments.get("model", "")).endswith(f"/{PLACEHOLDER}"):
            arguments["model"] = f"{_PROVIDERS[self.endpoint.api]}/{self.body.model}"
        arguments["client"] = self.clients.client(self, call_type)


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
            await _answer(error, api_named(target), send)
            return
        if forwarded is None or call is None:
            return
        call.forwarded = forwarded
        body = json.dumps(forwarded.body.read).encode()
        await self._app(self._rewritten(scope, forwarded, len(body)), _body_then(body, receive), send)

    async def _admit(self, scope: Event, target: str, receive: Receive) -> Forwarded | None:
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
        return Forwarded(endpoint, await parse_body(raw, endpoint), key_header, SecretStr(key), own, self._clients)

    def _rewritten(self, scope: Event, forwarded: Forwarded, length: int) -> Event:
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
