"""A project at a glance: what there is, its requests over time, what waits and what failed, and whether all works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Literal, TypeVar

from fastapi import Response

from recallr_litellm.console.pages.base import PageOfProject, page_router
from recallr_litellm.console.rendering import texts
from recallr_litellm.errors import Unavailable
from recallr_litellm.services.operations import QUEUES
from recallr_litellm.services.series import Point
from recallr_litellm.stores.state.series import Step

router = page_router()

_Answer = TypeVar("_Answer")
Span = Literal["hour", "day", "week"]
_SPANS: Final[dict[Span, tuple[Step, int]]] = {
    "hour": (Step.MINUTE, 3600),
    "day": (Step.HOUR, 24 * 3600),
    "week": (Step.HOUR, 7 * 24 * 3600),
}
_PARTS: Final = ("redis", "qdrant", "qdrant-writes", "embedding")
"""As `Services.faults` names them."""


@router.get("/overview")
async def overview(page: PageOfProject, span: Span = "hour") -> Response:
    """The last hour, day or week. Where a store is unreachable, what comes from the other one is shown."""
    step, seconds = _SPANS[span]
    services, project = page.services, page.of_project
    totals, queues, series = await asyncio.gather(
        _if_reachable(services.totals.of(project)),
        _if_reachable(services.operations.queues()),
        _if_reachable(services.series.read_with_sum(project, step, since=time.time() - seconds)),
    )
    points, total = series if series is not None else ([], None)
    return page.show(
        "overview.html",
        span=span,
        spans=list(_SPANS),
        totals=totals,
        queues=None if queues is None else {name: queues.get(project.id, {}).get(name, 0) for name in QUEUES},
        total=total,
        plots=_plots(points, total) if total is not None else {},
        points=[point for point in reversed(points) if point.requests or any(point.queues.values())],
        parts=_PARTS,
        faults=services.faults(),
    )


async def _if_reachable(asked: Awaitable[_Answer]) -> _Answer | None:
    try:
        return await asked
    except Unavailable:
        return None


def _plots(points: Sequence[Point], total: Point) -> dict[str, Any]:
    """Plot → its traces, as plotly takes them; without plots that would be empty."""
    at = [point.at.isoformat() for point in points]
    names = texts()["overview"]["queues"]["names"]
    waiting = [name for name in QUEUES if any(point.queues.get(name) for point in points)]

    def bars(name: str, values: Sequence[int]) -> dict[str, Any]:
        return {"type": "bar", "name": name, "x": at, "y": list(values)}

    def line(name: str, values: Sequence[float | None]) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "lines+markers",
            "showlegend": True,
            "name": name,
            "x": at,
            "y": list(values),
        }

    plots = {
        "requests": [bars(status, [one.requests.get(status, 0) for one in points]) for status in total.requests],
        "added_ms": [
            line("p50", [point.added_ms_p50 for point in points]),
            line("p99", [point.added_ms_p99 for point in points]),
        ],
        "tokens": [bars("", [point.tokens for point in points])],
        "queues": [line(names[name], [point.queues.get(name) for point in points]) for name in waiting],
    }
    return {name: traces for name, traces in plots.items() if traces and (total.requests or name == "queues")}
