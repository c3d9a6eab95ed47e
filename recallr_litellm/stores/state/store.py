"""The state store, whole."""

from __future__ import annotations

from recallr_litellm.stores.state.console import ConsoleSecret
from recallr_litellm.stores.state.explained import ExplainedRequests
from recallr_litellm.stores.state.known_users import KnownUsers
from recallr_litellm.stores.state.project_changes import ProjectChanges
from recallr_litellm.stores.state.request_counts import RequestCounts
from recallr_litellm.stores.state.requested_sessions import RequestedSessions
from recallr_litellm.stores.state.series import TimeSeries
from recallr_litellm.stores.state.session_queue import SessionQueue
from recallr_litellm.stores.state.sessions import OpenSessions
from recallr_litellm.stores.state.spent_tokens import SpentTokens


class StateStore(
    OpenSessions,
    RequestedSessions,
    SessionQueue,
    KnownUsers,
    ProjectChanges,
    RequestCounts,
    ExplainedRequests,
    TimeSeries,
    ConsoleSecret,
    SpentTokens,
):
    """Users whom requests come from, and sessions not yet processed: their messages, deadlines, leases.

        store = StateStore.from_url("redis://localhost:6379/0", timeout_seconds=1.0)
        session = await store.resolve(owner, new_session_id=uuid4().hex, ...)
        await store.commit(owner, session.session_id, exchange=request_id, expected_version=session.version, ...)

        for claim in await store.claim(4, lease_seconds=120):
            ...
            await store.finish(claim)

    Each method that changes something is one atomic script and can be repeated when its answer
    was lost. All raise `StateUnavailable` in an outage of Redis or past the timeout, and
    `StateRefused` when Redis refuses this call alone. Times are Redis's own, so workers' clocks do
    not matter; `now_ms` (milliseconds since the epoch, UTC) takes their place in tests and when an
    exchange is stored late.
    """
