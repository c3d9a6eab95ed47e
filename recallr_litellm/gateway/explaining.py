"""Hands requests that are over to `services/explain.py`."""

from __future__ import annotations

from recallr_litellm.gateway.call import Call
from recallr_litellm.request_headers import PREFIX
from recallr_litellm.services.explain import Explain
from recallr_litellm.services.explanation import Request

_TOLD = ("off", "degraded; reason=agent", "degraded; reason=window")
"""Statuses whose reasons are words of ours. Others name a store's address, which is the log's business."""


def record(explain: Explain, call: Call, http_status: int | None) -> None:
    """Have a request explained whose project is known. Of one that never got a session, nothing about its user is kept:
    the user may not exist."""
    if call.trace is None or call.project_id is None:
        return
    admitted = call.admitted
    explain.record(
        Request(
            id=call.request_id,
            at=call.received_at,
            project=call.project_id,
            trace=call.trace,
            owner=admitted.request.owner if admitted and call.session_id else None,
            http_status=http_status,
            status=call.status,
            reason=call.trace.fault or call.reason if call.status in _TOLD else None,
            strategy=call.strategy,
            session_id=call.session_id,
            found_by=call.found_by,
            headers=call.headers,
            sent={name.removeprefix(PREFIX).replace("-", "_") for name, _ in call.raw.pairs},
            defaults=call.defaults,
            injected=call.injected,
            spent=call.spent,
        )
    )
