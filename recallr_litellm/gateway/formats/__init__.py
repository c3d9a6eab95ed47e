"""Wire formats: one module each, all with the interface of `base.Format`. A new format is one new file."""

from recallr_litellm.gateway.formats import chat
from recallr_litellm.gateway.formats.base import Conversation, Format, Reply, StreamReader

_ALL: tuple[Format, ...] = (chat.CHAT,)

FORMATS: dict[str, Format] = {call_type: format for format in _ALL for call_type in format.call_types}
"""LiteLLM's `call_type` in `async_pre_call_hook` → how to read and write its requests."""

__all__ = ["FORMATS", "Conversation", "Format", "Reply", "StreamReader"]
