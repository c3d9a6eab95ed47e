"""What the tests of learning share."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from recallr_litellm.core.facts import Fact
from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.learning.windows import Window, windows

OWNER = Owner("p", "alice")
UTC_ZONE = ZoneInfo("UTC")


def at(day: str) -> int:
    """Milliseconds since the epoch of `2025-05-04` or `2025-05-04 18:05`, UTC."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def session(*lines: str, day: str = "2025-05-04 12:00") -> list[StoredMessage]:
    """Messages `user: text` or `assistant: text`, a minute apart."""
    stored = []
    for number, line in enumerate(lines):
        role, _, text = line.partition(": ")
        stored.append(
            StoredMessage(
                id=f"{number:032x}",
                exchange=f"e{number}",
                position=number,
                at=at(day) + 60_000 * number,
                message=Message(role=role, text=text),  # type: ignore[arg-type]
            )
        )
    return stored


def window(*lines: str, day: str = "2025-05-04 12:00") -> Window:
    [only] = windows(session(*lines, day=day))
    return only


def fact(text: str, day: str = "2025-05-04", **fields: Any) -> Fact:
    """A fact; its id follows from its text."""
    id = hashlib.sha256(f"{text} {day}".encode()).hexdigest()[:32]
    return Fact(**{"id": id, "text": text, "said_at": at(day), "sources": (f"m-{text[:8]}",), **fields})
