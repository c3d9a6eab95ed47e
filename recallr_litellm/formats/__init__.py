"""Wire formats: one module each, all with the interface of `base.Format`. A new format is one new file."""

from recallr_litellm.formats import anthropic, chat, completions, gemini, responses
from recallr_litellm.formats.base import Conversation, Format, Reply, StreamReader

_ALL: tuple[Format, ...] = (chat.CHAT, anthropic.ANTHROPIC, responses.RESPONSES, completions.COMPLETIONS, gemini.GEMINI)

FORMATS: dict[str, Format] = {call_type: format for format in _ALL for call_type in format.call_types}
"""LiteLLM's `call_type` in `async_pre_call_hook` → how to read and write its requests."""

__all__ = ["FORMATS", "Conversation", "Format", "Reply", "StreamReader"]
