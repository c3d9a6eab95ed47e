"""What is in motion: sessions not yet processed, their messages, deadlines and leases, in Redis."""

from recallr_litellm.stores.state.connection import Link, connect
from recallr_litellm.stores.state.embedded import EmbeddedValkey
from recallr_litellm.stores.state.records import (
    Candidate,
    Claim,
    CommitResult,
    Resolved,
    SessionIndex,
    Snapshot,
    UnknownSession,
    UnknownUser,
    Why,
)
from recallr_litellm.stores.state.store import StateStore

__all__ = [
    "Candidate",
    "Claim",
    "CommitResult",
    "EmbeddedValkey",
    "Link",
    "Resolved",
    "SessionIndex",
    "Snapshot",
    "StateStore",
    "UnknownSession",
    "UnknownUser",
    "Why",
    "connect",
]
