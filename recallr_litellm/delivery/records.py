"""What the outbox answers, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recallr_litellm.stores.state.leased_queue import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much waits for an endpoint, and how often it is tried."""

    max_queued: int
    """Payloads, and dead letters."""
    max_queued_mb: int
    """Likewise, megabytes of JSON."""
    max_attempts: int
    """Failures of one payload, while others are accepted, before it is a dead letter."""
    timeout_seconds: float
    """Of an answer of the endpoint."""
    max_pause_seconds: float
    """Longest pause between two attempts, where the endpoint does not ask for a longer one."""


class Added(StrEnum):
    """What became of a payload that was to be queued."""

    ADDED = "added"
    DUPLICATE = "duplicate"
    """This message id was added before."""
    FULL = "full"
    """There is no room: refused and counted. What was accepted is never dropped for something newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Lease):
    """The first payload of a session, leased to whoever holds this. `attempts` are those of this payload."""

    entry: str
    """Id of the stream's entry."""
    message_id: str
    payload: str
    """JSON, without keys or secrets."""


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
    project: str = ""
    """Empty for a request without a user, and for what an earlier version queued."""
    bucket: int = 0
    entry: str = ""
    """Id of the stream's entry, in that bucket."""


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """All buckets together."""

    queued: int
    bytes: int
    """Of the queued payloads' JSON."""
    added: int
    """Since ever, like the next two."""
    delivered: int
    dropped: int
    """Payloads refused and dead letters deleted because there was no room."""
    dead: int
    """Dead letters."""
