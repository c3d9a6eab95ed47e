"""What the outbox answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Added(StrEnum):
    """What became of a payload that was to be queued."""

    ADDED = "added"
    DUPLICATE = "duplicate"
    """This message id was added before."""
    FULL = "full"
    """There is no room: refused and counted. What was accepted is never dropped for something newer."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The first payload of a session, leased to whoever holds this."""

    member: str
    """The session, as the keys name it."""
    lease: str
    entry: str
    """Id of the stream's entry."""
    message_id: str
    payload: str
    """JSON, without keys."""
    attempts: int
    """Failures that counted."""
    failed_at: int
    """Time of the last failure, ms since the epoch; 0 if there was none."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A payload that the endpoint refused."""

    session: str
    message_id: str
    status: str
    """HTTP status; empty if there was no answer."""
    reason: str
    died_at: int
    """Milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """All buckets together."""

    oldest_ms: int
    """Age of the payload that waits longest; -1 where none does."""
    queued: int
    bytes: int
    """Of the queued payloads' JSON."""
    added: int
    """Since ever, like the next three."""
    delivered: int
    retried: int
    """Attempts that failed and were, or will be, made again."""
    dropped: int
    """Payloads refused and dead letters deleted because there was no room."""
    in_flight: int
    """Sessions that a worker has leased."""
    dead: int
    """Dead letters."""
