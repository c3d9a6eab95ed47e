"""The session id in LiteLLM's own terms, so that Langfuse and other loggers group requests by it.

Langfuse's sessions: https://docs.litellm.ai/docs/observability/langfuse_integration
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_HEADER = "x-litellm-session-id"
_GENERATED = "litellm_session_id_generated"
"""LiteLLM's mark of a session id that it made up for a request that had none (`missing_session_id: generate`)."""

_READ_BY_LITELLM = re.compile("session|trace|thread|conversation|baggage", re.IGNORECASE)
"""Headers from which LiteLLM may take a session id."""


def name_session(body: dict[str, Any], session_id: str) -> None:
    """Let LiteLLM know the session as if the client had sent it as `x-litellm-session-id`.

    What the client set itself stays: a session id of its own altogether, a trace id of its own beside our session.
    Only places that LiteLLM made are written to. It never sends them to a provider as part of the request; providers
    for which it uses the session id for routing to a warm cache (Fireworks, `provider_affinity_header`) get that.

    Args:
        body: the request, as `async_pre_call_hook` gets it.
    """
    # `metadata` of responses and messages is the client's own and goes to the provider: LiteLLM's is the other one.
    names = ("litellm_metadata", "metadata")
    ours, *clients = [body[name] for name in names if isinstance(body.get(name), dict)] or [{}]
    generated = bool(ours.get(_GENERATED))
    places = (body, ours, *clients)
    if not generated and _any(places, "session_id", "litellm_session_id"):
        return
    body["litellm_session_id"] = ours["session_id"] = session_id
    ours.pop(_GENERATED, None)
    if generated or not _any(places, "trace_id", "litellm_trace_id"):
        body["litellm_trace_id"] = ours["trace_id"] = session_id
        _tell_langfuse(body, session_id)


def client_session(body: Mapping[str, Any]) -> str | None:
    """LiteLLM's session id, if the client put it into the body as `litellm_session_id` or `metadata.session_id`.

    LiteLLM writes its own into the same places: one that it read from a header, a trace id too, or made up.
    """
    places = [body, *(body[name] for name in ("litellm_metadata", "metadata") if isinstance(body.get(name), dict))]
    if any(place.get(_GENERATED) for place in places):
        return None
    request = body.get("proxy_server_request")
    headers = request.get("headers") if isinstance(request, dict) else None
    named = headers.items() if isinstance(headers, Mapping) else ()
    in_headers = [str(value) for name, value in named if _READ_BY_LITELLM.search(str(name))]
    for place in places:
        for name in ("litellm_session_id", *(("session_id",) if place is not body else ())):
            value = place.get(name)
            if isinstance(value, str) and value and not any(value in header for header in in_headers):
                return value
    return None


def body_as_sent(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request's body with the fields that LiteLLM's own hooks have changed by now, as the client sent them."""
    request = body.get("proxy_server_request")
    sent = request.get("body") if isinstance(request, dict) else None
    return sent if isinstance(sent, Mapping) else body


def _any(places: tuple[Mapping[str, Any], ...], *names: str) -> bool:
    return any(place.get(name) for place in places for name in names)


def _tell_langfuse(body: dict[str, Any], session_id: str) -> None:
    """LiteLLM's Langfuse logger makes one trace of a whole session unless the trace id came in such a header."""
    request = body.get("proxy_server_request")
    if isinstance(request, dict) and isinstance(request.get("headers"), Mapping):
        request["headers"] = {**request["headers"], _HEADER: session_id}  # the object itself: loggers have it already
