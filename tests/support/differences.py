"""Where the versions of LiteLLM that the plugin admits differ in what LiteLLM itself does.

Tests take from here what they expect of LiteLLM. What the plugin promises is the same in all versions, and not here.
"""

from __future__ import annotations

from importlib import metadata

from packaging.version import Version


def _since(version: str) -> bool:
    return Version(metadata.version("litellm")) >= Version(version)


GEMINI_BRIDGED_BAD_REQUEST = 400 if _since("1.108") else 500
"""What Gemini's API answers where the model behind it speaks chat, and its provider refused with 400."""

CHAT_MESSAGES_HAVE_PROVIDER_FIELDS = not _since("1.108")
"""Whether the message of a whole chat completion has LiteLLM's `provider_specific_fields`, as its choice has."""

ANTHROPIC_STREAMS_SAY_THAT_THEY_BROKE_OFF = _since("1.106")
"""Whether a stream of Anthropic's API whose provider has gone ends with an error; as if it were whole, before."""

BRIDGED_TOOL_CALLS_CAN_BE_READ = _since("1.103")
"""Whether the SDK can read a tool call on `/v1/responses` of a model that speaks Anthropic's API: its text was null."""

METRICS_NEED_A_KEY = not _since("1.103")
"""Whether LiteLLM asks for a key wherever a path has `/metrics` in it; 1.100.5 does."""
