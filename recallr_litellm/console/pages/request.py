"""A request explained: what was searched for, found and shown, and what took how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from fastapi import Response

from recallr_litellm.console.pages.base import PageOfProject, page_router
from recallr_litellm.services.explanation import Candidate

router = page_router()

_FUNNEL: Final = ("beyond_top_k", "below_threshold", "same_words", "told_by_memory", "left_out", "no_room")
"""What may become of a candidate that is not shown, in the order in which it is decided."""


@router.get("/request")
async def request(page: PageOfProject, id: str) -> Response:
    """One of the last requests."""
    explained = await page.services.explain.get(page.of_project, id)
    candidates: Sequence[Candidate] = explained["candidates"]
    outcomes = Counter(candidate.outcome for candidate in candidates)
    left, funnel = len(candidates), []
    for outcome in _FUNNEL:
        left -= outcomes[outcome]
        if outcomes[outcome]:
            funnel.append((outcome, outcomes[outcome], left))
    most = max((abs(points) for one in candidates for points in one.signs.values()), default=1.0) or 1.0
    whole = max((part["start_ms"] + part["ms"] for part in explained["parts"]), default=1.0) or 1.0
    return page.show(
        "request.html",
        explained=explained,
        request=explained["request"],
        candidates=candidates,
        funnel=funnel,
        most_points=most,
        whole_ms=whole,
    )
