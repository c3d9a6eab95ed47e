"""What LiteLLM's logging events hold.

They run in a copy of the request's context, so that a `ContextVar` of the request is set in them. They come before or
after the end of the response, twice, or never. A call of LiteLLM's own within the request, such as a guardrail's, has
events too: with another `litellm_call_id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REDACTED = "redacted-by-litellm"
"""Stands for every text where LiteLLM keeps texts from loggers (`turn_off_message_logging`)."""


def call_id(arguments: Mapping[str, Any]) -> str:
    """LiteLLM's id of a call, from an event's `kwargs` or the data of `async_pre_call_hook`. Clients can choose it."""
    return str(arguments.get("litellm_call_id") or "")


def answer_of(arguments: Mapping[str, Any], response: Any) -> dict[str, Any] | None:
    """The answer that a success event holds, as JSON; None where it holds none, or not its texts."""
    if arguments.get("messages") == [{"role": "user", "content": _REDACTED}]:
        return None
    return _plain(response)


def usage_of(response: Any) -> dict[str, Any] | None:
    """The usage that a success event holds, as JSON; None where nothing was counted."""
    usage = _plain(getattr(response, "usage", None))
    return usage if usage and any(usage.values()) else None


def _plain(value: Any) -> dict[str, Any] | None:
    """An object of LiteLLM's as JSON; None for what is none."""
    dump = getattr(value, "model_dump", None)
    plain = dump(mode="json", exclude_none=True) if dump is not None else value
    return plain if isinstance(plain, dict) else None
