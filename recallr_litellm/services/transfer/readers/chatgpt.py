"""ChatGPT's export: `conversations.json`, a list of conversations.

A conversation is a tree: `mapping` has its nodes by id, each with `message`, `parent` and `children`; what was edited
or regenerated made branches. `current_node` is the end of the branch that was shown last: that one is read.
OpenAI documents nothing of it; this is what exports of 2023 to 2026 hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from recallr_litellm.errors import InvalidImport
from recallr_litellm.services.transfer.document import MessageItem, read_item
from recallr_litellm.services.transfer.readers.base import Conversation, a_list, a_time, an_object, session

_SAID: Final = frozenset({"text", "multimodal_text"})
"""Contents that somebody said. Others are instructions, thoughts, code for tools, what tools found, errors."""


def is_one(value: Any) -> bool:
    """Whether it looks like a conversation of ChatGPT."""
    return isinstance(value, dict) and isinstance(value.get("mapping"), dict)


def read(value: Any, place: str) -> Iterator[Conversation]:
    """The branch that was shown last."""
    conversation = an_object(value, place)
    nodes = an_object(conversation.get("mapping"), f"{place}.mapping")
    messages = []
    for id in _branch(nodes, conversation.get("current_node"), place):
        message = _message(nodes[id].get("message"), f"{place}.mapping.{id}.message")
        if message is not None:
            messages.append(message)
    title = conversation.get("title")
    yield Conversation(
        None,
        session(
            place,
            id=conversation.get("conversation_id") or conversation.get("id"),
            created_at=a_time(conversation.get("create_time"), f"{place}.create_time"),
            messages=messages,
            metadata={"source": "chatgpt", **({"title": title} if isinstance(title, str) else {})},
        ),
    )


def _branch(nodes: dict[str, Any], end: Any, place: str) -> list[str]:
    """Ids of the nodes from the root to the end."""
    if not isinstance(end, str) or end not in nodes:
        leaves = (id for id in reversed(nodes) if not an_object(nodes[id], f"{place}.mapping.{id}").get("children"))
        end = next(leaves, None)
    branch: dict[str, None] = {}
    while isinstance(end, str) and end in nodes:
        if end in branch:
            raise InvalidImport(f"{place}.mapping.{end}.parent: leads in a circle")
        branch[end] = None
        end = an_object(nodes[end], f"{place}.mapping.{end}").get("parent")
    return [*reversed(branch)]


def _message(value: Any, place: str) -> MessageItem | None:
    """A message; None for what nobody said."""
    if value is None:  # the root
        return None
    message = an_object(value, place)
    content = an_object(message.get("content"), f"{place}.content")
    role = an_object(message.get("author"), f"{place}.author").get("role")
    hidden = an_object(message.get("metadata") or {}, f"{place}.metadata").get("is_visually_hidden_from_conversation")
    to_a_tool = message.get("recipient") not in (None, "all")
    if role not in ("user", "assistant") or content.get("content_type") not in _SAID or hidden or to_a_tool:
        return None
    texts: list[str] = []
    attachments: list[str] = []
    for part in a_list(content.get("parts", []), f"{place}.content.parts"):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            if isinstance(part.get("text"), str):  # what was spoken
                texts.append(part["text"])
            else:
                attachments.append(str(part.get("content_type") or "file"))
    text = "\n".join(filter(None, texts))
    if not text.strip() and not attachments:
        return None
    at = a_time(message.get("create_time"), f"{place}.create_time")
    fields = {"id": message.get("id"), "role": role, "text": text, "at": at, "attachments": attachments}
    return read_item(MessageItem, fields, place)
