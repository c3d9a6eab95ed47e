"""Domain records as Redis values.

JSON in ASCII: half of a surrogate pair, which clients can send and UTF-8 cannot say, survives as an escape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner


def dump_owner(owner: Owner) -> str:
    return json.dumps([owner.project, owner.user])


def load_owner(text: str) -> Owner:
    project, user = json.loads(text)
    return Owner(project, user)


def dump_messages(messages: Iterable[StoredMessage]) -> Iterator[str]:
    """Id, JSON, id, JSON, …"""
    for stored in messages:
        yield stored.id
        yield json.dumps(stored.model_dump(), separators=(",", ":"))


def load_messages(texts: Iterable[str]) -> tuple[StoredMessage, ...]:
    """By position."""
    messages = (StoredMessage.model_validate(json.loads(text)) for text in texts)
    return tuple(sorted(messages, key=lambda stored: stored.position))
