"""Lists of messages: ours and OpenAI's.

    {"user_id": "alice", "id": "chat 7", "created_at": "2026-03-01T09:30:00Z", "metadata": {"shop": 3},
     "messages": [{"role": "user", "text": "My cat is called Felix.", "at": "2026-03-01T09:30:00Z"},
                  {"role": "assistant", "content": "What a nice name."}]}

Of the conversation only `messages` is needed; a list of messages alone is one too. A message has `text`, and perhaps
`name`, `at` and `id`, or is one of OpenAI's Chat Completions, and then its time may stand in `created_at`, `timestamp`
or `created`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from recallr_litellm.errors import InvalidImport
from recallr_litellm.formats.chat import CHAT, ROLES, SYSTEM_ROLES
from recallr_litellm.services.transfer.document import MessageItem, SessionItem, read_item
from recallr_litellm.services.transfer.readers.base import Conversation, a_list, a_time, an_object

_TIMES: Final = ("at", "created_at", "timestamp", "created")
_TAKEN: Final = ("last_at", "timeout_seconds", "metadata")


def is_one(value: Any) -> bool:
    """Whether it looks like a list of messages."""
    messages = value.get("messages") if isinstance(value, dict) else value
    return isinstance(messages, list) and bool(messages) and isinstance(messages[0], dict) and "role" in messages[0]


def read(value: Any, place: str) -> Iterator[Conversation]:
    """The conversation."""
    conversation: Mapping[str, Any] = {"messages": value} if isinstance(value, list) else an_object(value, place)
    messages = []
    for number, raw in enumerate(a_list(conversation.get("messages"), f"{place}.messages"), start=1):
        message = _message(raw, f"{place}, message {number}")
        if message is not None:
            messages.append(message)
    user, id = conversation.get("user_id"), conversation.get("id")
    if user is not None and not isinstance(user, str):
        raise InvalidImport(f"{place}.user_id: must be a text")
    created = a_time(next(filter(None, map(conversation.get, _TIMES)), None), f"{place}.created_at")
    fields = {name: conversation[name] for name in _TAKEN if conversation.get(name) is not None}
    fields |= {"id": str(id) if isinstance(id, int) else id, "created_at": created, "messages": messages}
    yield Conversation(user, read_item(SessionItem, fields, place))


def _message(value: Any, place: str) -> MessageItem | None:
    """A message; None for instructions to the model, and for what is empty."""
    raw = an_object(value, place)
    role = raw.get("role")
    if role in SYSTEM_ROLES:
        return None
    if role not in ROLES:
        raise InvalidImport(f"{place}.role: must be user, assistant or tool, not {str(role)[:20]}")
    at = a_time(next((raw[name] for name in _TIMES if raw.get(name) is not None), None), place)
    if "text" in raw:
        return read_item(MessageItem, {**raw, "at": at}, place)
    [*found] = CHAT.read({"messages": [raw]}).messages
    if not found:
        return None
    fields = {**found[0].model_dump(), "id": raw.get("id"), "at": at}
    return read_item(MessageItem, fields, place)
