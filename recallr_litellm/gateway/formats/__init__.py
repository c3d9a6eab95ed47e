"""Wire formats: one module each, all with the interface of `base.Format`. A new format is one new file."""

from recallr_litellm.gateway.formats import chat
from recallr_litellm.gateway.formats.base import Conversation, Format, Reply, StreamReader

FORMATS: dict[str, Format] = dict.fromkeys(chat.CHAT.call_types, chat.CHAT)
"""LiteLLM's `call_type` in `async_pre_call_hook` → how to read and write its requests."""

__all__ = ["FORMATS", "Conversation", "Format", "Reply", "StreamReader"]
