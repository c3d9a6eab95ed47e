"""What is in motion: sessions not yet processed, their messages, deadlines and leases, in Redis."""

from recallr_litellm.stores.state.connection import Link, connect
from recallr_litellm.stores.state.embedded import EmbeddedValkey
from recallr_litellm.stores.state.explained import ExplainedRequest
from recallr_litellm.stores.state.records import (
    Candidate,
    Claim,
    CommitResult,
    EndResult,
    Resolved,
    SessionIndex,
    SessionState,
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
    "EndResult",
    "ExplainedRequest",
    "Link",
    "Resolved",
    "SessionIndex",
    "SessionState",
    "Snapshot",
    "StateStore",
    "UnknownSession",
    "UnknownUser",
    "Why",
    "connect",
]
