"""A finished interaction → what is sent to Reconify, without the keys.

The REST document: `format` and `type` say what `request` and `response` are; timestamps are milliseconds,
`sessionTimeout` is minutes.

Each fact has one source; the second is asked only where the first has nothing:

| Fact | Source | Without it |
|---|---|---|
| texts of the request, name of the model | LiteLLM's hook before the provider is called | its hook before the router |
| other fields of the request | LiteLLM's hook before the router | |
| answer | the wire, as the client got it | LiteLLM's success event |
| usage | the wire | LiteLLM's success event: most clients do not ask for the usage of a stream |
| that it failed | the status on the wire | LiteLLM's failure event |
| times, session, user | the gateway | |
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recallr_litellm.formats import ANTHROPIC, CHAT, COMPLETIONS, FORMATS, GEMINI, RESPONSES, Format
from recallr_litellm.formats.answers import format_of
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
    usage: Json | None = None
    """As chat completions have it, for a reply that does not tell."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What Reconify is told that a request or a reply is."""

    format: Literal["openai", "anthropic"]
    type: Literal["chat", "completion"]


_CHAT, _COMPLETION, _MESSAGES = _Kind("openai", "chat"), _Kind("openai", "completion"), _Kind("anthropic", "chat")

_REQUESTS: Mapping[str, tuple[_Kind, Callable[[Mapping[str, Any]], Json]]] = {
    "acompletion": (_CHAT, dict),
    "completion": (_CHAT, dict),
    "atext_completion": (_COMPLETION, dict),
    "text_completion": (_COMPLETION, dict),
    "anthropic_messages": (_MESSAGES, dict),
    "aresponses": (_CHAT, bridges.responses_request),
    "responses": (_CHAT, bridges.responses_request),
    "agenerate_content": (_CHAT, bridges.gemini_request),
    "agenerate_content_stream": (_CHAT, bridges.gemini_request),
}
"""Call type → what its requests are reported as, and the translation."""


def _as_it_is(reply: Json, interaction: Interaction) -> Json | None:
    return reply


def _responses_reply(reply: Json, interaction: Interaction) -> Json | None:
    return bridges.responses_reply(reply)


def _gemini_reply(reply: Json, interaction: Interaction) -> Json | None:
    model = str(interaction.request.get("model") or "")
    return bridges.gemini_reply(reply, model=model, created=interaction.answered_at_ms // 1000)


_REPLIES: Mapping[Format, tuple[_Kind, Callable[[Json, Interaction], Json | None]]] = {
    CHAT: (_CHAT, _as_it_is),
    COMPLETIONS: (_COMPLETION, _as_it_is),
    ANTHROPIC: (_MESSAGES, _as_it_is),
    RESPONSES: (_CHAT, _responses_reply),
    GEMINI: (_CHAT, _gemini_reply),
}
"""The reply's own format, which need not be the request's → the same of replies."""


def is_reported(call_type: str) -> bool:
    """Whether requests of this kind go to Reconify: chats and completions, in whatever format."""
    return call_type in _REQUESTS


def build(interaction: Interaction) -> Json | None:
    """The payload of an interaction, without `appKey` and `apiKey`.

    `{"reconify": {"format", "type", "version"}, "timestamps": {"request", "response"}, "session", "sessionTimeout",
    "user", "request", "response"}`; parts that are not known are left out. `sessionTimeout` is rounded up to whole
    minutes, so that Reconify does not end a session that is still open here.

    Returns:
        None where nothing was answered, or the request is neither a chat nor a completion, or it cannot be read.
    """
    if interaction.call_type not in _REQUESTS or not _answers(interaction.reply):
        return None
    kind, ask = _REQUESTS[interaction.call_type]
    kind_of_reply, answer = _REPLIES[format_of(interaction.reply) or FORMATS[interaction.call_type]]
    try:
        asked, answered = ask(interaction.request), answer(interaction.reply, interaction)
    except Exception as error:  # noqa: BLE001 - LiteLLM's bridges raise whatever an odd body makes them raise
        # Only the type: the texts of pydantic's errors hold what was said.
        _log.warning(
            "An interaction (%s) cannot be reported to Reconify: %s", interaction.call_type, type(error).__name__
        )
        return None
    if kind_of_reply != kind:
        _log.warning("An interaction (%s) cannot be reported: its answer has another format", interaction.call_type)
        return None
    if not answered:
        return None
    if kind.format == "openai" and interaction.usage and not answered.get("usage"):
        answered = {**answered, "usage": interaction.usage}
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


def lacks_usage(reply: Json) -> bool:
    """Whether a reply does not tell the usage where its format has it: as chunks, of which clients must ask for it."""
    return "choices" in reply and not reply.get("usage")
