"""Claude's export: `conversations.json`, a list of conversations, each with its `chat_messages` in order.

Anthropic documents nothing of it; this is what exports of 2024 to 2026 hold. A message has its text twice: in blocks,
in `content`, and in `text`, which older exports have alone, and in which newer ones put the thoughts and tools too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recallr_litellm.errors import InvalidImport
from recallr_litellm.services.transfer.document import MessageItem, read_item
from recallr_litellm.services.transfer.readers.base import Conversation, a_list, a_time, an_object, session

_ROLES = {"human": "user", "user": "user", "assistant": "assistant"}


def is_one(value: Any) -> bool:
    """Whether it looks like a conversation of Claude."""
    return isinstance(value, dict) and isinstance(value.get("chat_messages"), list)


def read(value: Any, place: str) -> Iterator[Conversation]:
    """The conversation."""
    conversation = an_object(value, place)
    messages = []
    for number, message in enumerate(a_list(conversation.get("chat_messages"), f"{place}.chat_messages"), start=1):
        read = _message(message, f"{place}, message {number}")
        if read is not None:
            messages.append(read)
    title = conversation.get("name")
    yield Conversation(
        None,
        session(
            place,
            id=conversation.get("uuid"),
            created_at=a_time(conversation.get("created_at"), f"{place}.created_at"),
            messages=messages,
            metadata={"source": "claude", **({"title": title} if isinstance(title, str) and title else {})},
        ),
    )


def _message(value: Any, place: str) -> MessageItem | None:
    """A message; None for one without words."""
    message = an_object(value, place)
    sender = message.get("sender")
    if sender not in _ROLES:
        raise InvalidImport(f"{place}.sender: must be human or assistant, not {str(sender)[:20]}")
    blocks = a_list(message.get("content") or [], f"{place}.content")
    texts = [block["text"] for block in blocks if _is_text(block)]
    if not blocks and isinstance(message.get("text"), str):
        texts = [message["text"]]
    attached = [one for name in ("attachments", "files") for one in a_list(message.get(name) or [], f"{place}.{name}")]
    text = "\n".join(filter(None, texts))
    if not text.strip() and not attached:
        return None
    fields = {
        "id": message.get("uuid"),
        "role": _ROLES[sender],
        "text": text,
        "at": a_time(message.get("created_at"), f"{place}.created_at"),
        "attachments": ["file"] * len(attached),
    }
    return read_item(MessageItem, fields, place)


def _is_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and isinstance(block.get("text"), str)
