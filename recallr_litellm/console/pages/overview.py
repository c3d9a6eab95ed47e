"""A project at a glance: its requests over time, and what waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

from fastapi import Response

from recallr_litellm.console.pages.base import PageOfProject, page_router
from recallr_litellm.services.series import Point
from recallr_litellm.stores.state.series import Step

router = page_router()

Span = Literal["hour", "day", "week"]
_SPANS: Final[dict[Span, tuple[Step, int]]] = {
    "hour": (Step.MINUTE, 3600),
    "day": (Step.HOUR, 24 * 3600),
    "week": (Step.HOUR, 7 * 24 * 3600),
}


@router.get("/overview")
async def overview(page: PageOfProject, span: Span = "hour") -> Response:
    """The last hour, day or week."""
    step, seconds = _SPANS[span]
    points = await page.services.series.read(page.of_project, step, since=time.time() - seconds)
    users = (await page.services.users.list(page.of_project, offset=0, limit=1)).total
    waiting = (await page.services.operations.queues()).get(page.of_project.id, {})
    statuses = Counter[str]()
    for point in points:
        statuses.update(point.requests)
    return page.show(
        "overview.html",
        span=span,
        spans=list(_SPANS),
        users=users,
        waiting=waiting,
        statuses=sorted(statuses.items()),
        requests=statuses.total(),
        tokens=sum(point.tokens for point in points),
        plots=_plots(points, sorted(statuses)),
        points=[point for point in reversed(points) if point.requests],
    )


def _plots(points: Sequence[Point], statuses: Sequence[str]) -> dict[str, Any]:
    """Plot → its traces, as plotly takes them."""
    at = [point.at.isoformat() for point in points]

    def line(name: str, values: Sequence[float | None]) -> dict[str, Any]:
        return {"type": "scatter", "mode": "lines+markers", "name": name, "x": at, "y": list(values)}

    return {
        "requests": [
            {"type": "bar", "name": status, "x": at, "y": [point.requests.get(status, 0) for point in points]}
            for status in statuses
        ],
        "added_ms": [
            line("p50", [point.added_ms_p50 for point in points]),
            line("p99", [point.added_ms_p99 for point in points]),
        ],
        "tokens": [{"type": "bar", "name": "", "x": at, "y": [point.tokens for point in points]}],
    }
