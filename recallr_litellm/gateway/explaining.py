"""Hands requests that are over to the services that explain and count them."""

from __future__ import annotations

from recallr_litellm.gateway.call import Call
from recallr_litellm.request_headers import PREFIX
from recallr_litellm.services.explain import Explain
from recallr_litellm.services.explanation import Request
from recallr_litellm.services.series import Series

_TOLD = ("off", "degraded; reason=agent", "degraded; reason=window")
"""Statuses whose reasons are words of ours. Others name a store's address, which is the log's business."""


def count(series: Series, call: Call, _: int | None) -> None:
    """Count a request whose project is known."""
    if call.project_id is not None:
        series.count(call.project_id, status=call.status, seconds=call.spent, tokens=call.block_tokens)


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
            options=call.headers,
            sent={name.removeprefix(PREFIX).replace("-", "_") for name, _ in call.raw.pairs},
            defaults=call.defaults,
            injected=call.injected,
            spent=call.spent,
        )
    )
