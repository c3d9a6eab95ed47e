"""What the outbox answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recallr_litellm.stores.state.leased_queue import Lease


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
    """JSON, without keys."""


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
