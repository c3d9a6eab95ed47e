"""The provider APIs that the forward URL can reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from recallr_litellm.upstream_urls import Location


class Api(StrEnum):
    """The APIs that can be reached. The value is LiteLLM's own route; Gemini's has the model in it."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    RESPONSES = "/v1/responses"
    MESSAGES = "/v1/messages"
    GEMINI = "/v1beta/models/{model}"


_ENDPOINTS = (
    (re.compile(r"(?P<base>.*)/chat/completions"), Api.CHAT),
    (re.compile(r"(?P<base>.*)/completions"), Api.COMPLETIONS),
    (re.compile(r"(?P<base>.*)/responses"), Api.RESPONSES),
    (re.compile(r"(?P<base>.*)/v1/messages"), Api.MESSAGES),
    (
        re.compile(
            r"(?P<base>.*/v1(?:alpha|beta)?)/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)"
        ),
        Api.GEMINI,
    ),
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
    base: str
    """What LiteLLM takes as `api_base`: the URL without the endpoint."""
    model: str | None = None
    """The model, where the URL has it."""
    verb: str = ""
    """`generateContent` or `streamGenerateContent`."""

    @classmethod
    def at(cls, location: Location) -> Endpoint | None:
        """The endpoint that is there, None if it is none of those we know."""
        for pattern, api in _ENDPOINTS:
            if found := pattern.fullmatch(location.path):
                parts = found.groupdict()
                return cls(api, location.origin + parts["base"], parts.get("model"), parts.get("verb") or "")
        return None


def api_named(path: str) -> Api:
    """The API that a path, of whatever upstream, seems to be meant for: whose shape an error gets."""
    if path.endswith((":generateContent", ":streamGenerateContent")):
        return Api.GEMINI
    return Api.MESSAGES if path.endswith("/v1/messages") else Api.CHAT
