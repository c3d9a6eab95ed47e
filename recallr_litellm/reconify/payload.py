"""A finished interaction → what is sent to Reconify, without the keys.

The REST document: `format` and `type` say what `request` and `response` are; timestamps are milliseconds,
`sessionTimeout` is minutes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recallr_litellm.litellm_host import bridges
from recallr_litellm.reconify.person import Person
from recallr_litellm.reconify.wire import VERSION

_log = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Interaction:
    """A request and its reply, as far as the client has it."""

    call_type: str
    """LiteLLM's name for the request."""
    request: Json = field(repr=False)
    """The body to report, without what is LiteLLM's own."""
    reply: Json = field(repr=False)
    """The whole reply; of a stream, the object that the same call returns unstreamed, as far as it came."""
    requested_at_ms: int
    answered_at_ms: int
    """Milliseconds since the epoch."""
    session_id: str | None = None
    timeout_seconds: int | None = None
    """Of the session."""
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the interactions of one wire format are reported."""

    format: Literal["openai", "anthropic"]
    type: Literal["chat", "completion"]
    bridge_request: Callable[[Mapping[str, Any]], Json] = dict
    bridge_reply: Callable[[Json, Interaction], Json | None] = lambda reply, _: reply


def _gemini_reply(reply: Json, interaction: Interaction) -> Json | None:
    return bridges.gemini_reply(
        reply,
        model=str(interaction.request.get("model") or ""),
        created=interaction.answered_at_ms // 1000,
    )


_CHAT = _Kind("openai", "chat")
_COMPLETION = _Kind("openai", "completion")
_ANTHROPIC = _Kind("anthropic", "chat")
_RESPONSES = _Kind("openai", "chat", bridges.responses_request, lambda reply, _: bridges.responses_reply(reply))
_GEMINI = _Kind("openai", "chat", bridges.gemini_request, _gemini_reply)

_KINDS: Mapping[str, _Kind] = {
    "acompletion": _CHAT,
    "completion": _CHAT,
    "atext_completion": _COMPLETION,
    "text_completion": _COMPLETION,
    "anthropic_messages": _ANTHROPIC,
    "aresponses": _RESPONSES,
    "responses": _RESPONSES,
    "agenerate_content": _GEMINI,
    "agenerate_content_stream": _GEMINI,
}


def is_reported(call_type: str) -> bool:
    """Whether requests of this kind go to Reconify: chats and completions, in whatever format."""
    return call_type in _KINDS


def build(interaction: Interaction) -> Json | None:
    """The payload of an interaction, without `appKey` and `apiKey`.

    `{"reconify": {"format", "type", "version"}, "timestamps": {"request", "response"}, "session", "sessionTimeout",
    "user", "request", "response"}`; parts that are not known are left out. `sessionTimeout` is rounded up to whole
    minutes, so that Reconify does not end a session that is still open here.

    Returns:
        None where nothing was answered, or the request is neither a chat nor a completion, or it cannot be read.
    """
    kind = _KINDS.get(interaction.call_type)
    if kind is None:
        return None
    try:
        answered = kind.bridge_reply(interaction.reply, interaction) if _answers(interaction.reply) else None
        asked = kind.bridge_request(interaction.request)
    except Exception as error:  # noqa: BLE001 - LiteLLM's bridges raise whatever an odd body makes them raise
        # Only the type: the texts of pydantic's errors hold what was said.
        _log.warning(
            "An interaction (%s) cannot be reported to Reconify: %s", interaction.call_type, type(error).__name__
        )
        return None
    if not answered:
        return None
    payload: Json = {
        "reconify": {"format": kind.format, "type": kind.type, "version": VERSION},
        "timestamps": {"request": interaction.requested_at_ms, "response": interaction.answered_at_ms},
    }
    if interaction.session_id is not None:
        payload["session"] = interaction.session_id
    if interaction.timeout_seconds is not None:
        payload["sessionTimeout"] = -(-interaction.timeout_seconds // 60)
    if interaction.person is not None and (user := interaction.person.payload()) is not None:
        payload["user"] = user
    return {**payload, "request": asked, "response": answered}


def _answers(reply: Json) -> bool:
    """Whether a reply, in whatever format, is more than an error."""
    return any(reply.get(key) for key in ("choices", "content", "output", "candidates", "promptFeedback"))
