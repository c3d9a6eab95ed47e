"""Payloads that wait in this process for Redis."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from recallr_litellm.core.owner import Owner

MOST_HELD_BYTES: Final = 64 * 1024 * 1024
"""Bound on the JSON of held payloads: a thousand of them may be small talk, or a megabyte each."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payload that is to be queued."""

    owner: Owner | None
    session: str
    message_id: str
    payload: bytes
    """JSON, without keys."""

    def in_session_of(self, other: Waiting) -> bool:
        """Whether both have to be sent in their order."""
        return bool(self.session) and (self.owner, self.session) == (other.owner, other.session)


class HeldPayloads:
    """A bounded line, oldest first; the oldest is dropped for the newest, as of held exchanges.

    Args:
        capacity: most payloads.
        most_bytes: most JSON; a single payload may have an eighth of it.
    """

    def __init__(self, capacity: int, most_bytes: int = MOST_HELD_BYTES) -> None:
        self._capacity = capacity
        self._most_bytes = most_bytes
        self._line: deque[Waiting] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._line)

    @property
    def first(self) -> Waiting | None:
        """The oldest."""
        return self._line[0] if self._line else None

    def before(self, waiting: Waiting) -> bool:
        """Whether an earlier payload of the same session is held: this one must not be queued before it."""
        return any(held.in_session_of(waiting) for held in self._line)

    def hold(self, waiting: Waiting) -> list[Waiting]:
        """Put a payload at the end. Returns those that had to go, perhaps this one."""
        size = len(waiting.payload)
        if size > self._most_bytes // 8:
            return [waiting]
        self._line.append(waiting)
        self._bytes += size
        dropped = []
        while len(self._line) > self._capacity or self._bytes > self._most_bytes:
            dropped.append(self._line[0])
            self.remove(self._line[0])
        return dropped

    def remove(self, waiting: Waiting) -> None:
        """Take a payload out; nothing if it has gone already."""
        if waiting in self._line:
            self._line.remove(waiting)
            self._bytes -= len(waiting.payload)

    def purge(self, owner: Owner) -> int:
        """Take out all of an owner's payloads. Returns how many."""
        theirs = [held for held in self._line if held.owner == owner]
        for held in theirs:
            self.remove(held)
        return len(theirs)
