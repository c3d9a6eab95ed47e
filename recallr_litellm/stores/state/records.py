"""What the state store answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import MessageEntry, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state.leased_queue import Lease


@dataclass(frozen=True, slots=True)
class UnknownUser:
    """Redis does not know the user: new, or not seen for a day. The record of users is Qdrant's."""


@dataclass(frozen=True, slots=True)
class UnknownSession:
    """The requested session is not in motion: never was, is processed, or belongs to somebody else."""


class Why(StrEnum):
    """How the session of a request was found."""

    REQUESTED = "requested"
    """By its id."""
    CHAT = "chat"
    """By the name of its chat."""
    HISTORY = "history"
    """It holds messages of the request's history."""
    PREFERRED = "preferred"
    """The caller knows that it is the one."""
    OPENING = "opening"
    """Its first request had a history that began alike."""
    CURRENT = "current"
    """The user is in it."""
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session that may be the request's: it holds a message of its history. The user is not active in it yet."""

    session_id: str
    entries: tuple[MessageEntry, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The session of a request."""

    session_id: str
    created: bool
    """True when this call made the session."""
    why: Why
    version: int
    """For `StateStore.commit`; grows with every commit."""
    entries: tuple[MessageEntry, ...]
    """What there is to know of its messages without their texts, by position."""
    timeout_seconds: int
    other_sessions: tuple[str, ...]
    """Ids of the owner's other sessions that are not processed yet and hold messages, newest first."""
    blocks: tuple[LaidBlock, ...] = ()
    """The memory blocks kept with the session, newest first, where they were asked for."""


@dataclass(frozen=True, slots=True)
class SessionIndex:
    """What there is to know of a session's messages without their texts, as it was at one version."""

    version: int
    entries: tuple[MessageEntry, ...]
    """By position."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole session as it was at one version. Times in milliseconds since the epoch, UTC."""

    version: int
    messages: tuple[StoredMessage, ...]
    """By position."""
    created_at: int
    last_at: int
    timeout_seconds: int
    metadata: dict[str, JsonValue] | None = None
    """None of a session that no application asked for by the API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Lease):
    """A session that is to be processed, leased to whoever holds this."""

    owner: Owner
    session_id: str


class CommitResult(StrEnum):
    """What became of a commit."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """This exchange is stored already. Nothing was changed, nothing is left to do."""
    CONFLICT = "conflict"
    """Another exchange wrote to the session since it was read: load it, compute anew, commit again."""
    GONE = "gone"
    """The session is not in Redis: `StateStore.restore` it, then commit again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """A session that is not processed yet, without what it holds. Times in milliseconds since the epoch, UTC."""

    id: str
    version: int
    created_at: int
    last_at: int
    """When it was last used, whenever that is said to have been."""
    timeout_seconds: int
    metadata: dict[str, JsonValue]
    dated: bool
    """It is said to have begun in the past."""
    processing: bool
    """It is being processed, or about to be because somebody asked for it."""
    failed: bool
    """It was set aside: it could not be processed."""
    message_count: int
    last_message: tuple[str, int] | None
    """Id and position."""


class EndResult(StrEnum):
    """What became of the wish to have a session processed now."""

    ENDED = "ended"
    REPEATED = "repeated"
    """This request was served before."""
    BUSY = "busy"
    """It is being processed already, or was set aside."""
    GONE = "gone"
    """It is not in Redis."""
