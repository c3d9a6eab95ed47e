"""Wire formats: one module each, all with the interface of `base.Format`. A new format is one new file."""

from recallr_litellm.formats.anthropic import ANTHROPIC
from recallr_litellm.formats.base import Conversation, Format, Reply, StreamReader
from recallr_litellm.formats.chat import CHAT
from recallr_litellm.formats.completions import COMPLETIONS
from recallr_litellm.formats.gemini import GEMINI
from recallr_litellm.formats.responses import RESPONSES

_ALL: tuple[Format, ...] = (CHAT, ANTHROPIC, RESPONSES, COMPLETIONS, GEMINI)

FORMATS: dict[str, Format] = {call_type: format for format in _ALL for call_type in format.call_types}
"""LiteLLM's `call_type` in `async_pre_call_hook` → how to read and write its requests."""

__all__ = [
    "ANTHROPIC",
    "CHAT",
    "COMPLETIONS",
    "FORMATS",
    "GEMINI",
    "RESPONSES",
    "Conversation",
    "Format",
    "Reply",
    "StreamReader",
]
