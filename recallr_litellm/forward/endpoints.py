"""The provider APIs that the forward URL can reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from recallr_litellm.upstream_urls import Location


class Api(StrEnum):
    """The APIs that can be reached. The value is LiteLLM's call type for it, which names the wire format."""

    CHAT = "acompletion"
    COMPLETIONS = "atext_completion"
    RESPONSES = "aresponses"
    MESSAGES = "anthropic_messages"
    GEMINI = "agenerate_content"
    GEMINI_STREAM = "agenerate_content_stream"


_MODEL = r".*/v1(?:alpha|beta)?/models/(?P<model>[^/:]+)"
_ENDPOINTS = (
    (re.compile(r".*/chat/completions"), Api.CHAT),
    (re.compile(r".*/completions"), Api.COMPLETIONS),
    (re.compile(r".*/responses"), Api.RESPONSES),
    (re.compile(r".*/v1/messages"), Api.MESSAGES),
    (re.compile(_MODEL + ":generateContent"), Api.GEMINI),
    (re.compile(_MODEL + ":streamGenerateContent"), Api.GEMINI_STREAM),
)

SUPPORTED = (
    "/chat/completions, /completions, /responses, /v1/messages, "
    "/v1beta/models/{model}:generateContent, /v1beta/models/{model}:streamGenerateContent"
)
"""For messages: how the paths end that can be reached."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API of an upstream."""

    api: Api
    url: str
    model: str | None = None
    """The model, where the URL has it."""

    @classmethod
    def at(cls, location: Location) -> Endpoint | None:
        """The endpoint at a location, None if it is none of those we know."""
        for pattern, api in _ENDPOINTS:
            if found := pattern.fullmatch(location.path):
                # Gemini streams JSON arrays, which no format reads, unless it is asked for server-sent events.
                query = "?alt=sse" if api is Api.GEMINI_STREAM else ""
                return cls(api, location.origin + location.path + query, found.groupdict().get("model"))
        return None


def api_named(path: str) -> Api:
    """The API that a path, of whatever upstream, seems to be meant for: it decides the shape of an error."""
    if path.endswith((":generateContent", ":streamGenerateContent")):
        return Api.GEMINI
    return Api.MESSAGES if path.endswith("/v1/messages") else Api.CHAT
