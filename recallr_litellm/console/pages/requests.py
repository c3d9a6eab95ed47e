"""The last requests of a project."""

from __future__ import annotations

from typing import Final

from fastapi import Response

from recallr_litellm.console.pages.base import PAGE, Offset, PageOfProject, Rows, page_router
from recallr_litellm.core.options import Strategy
from recallr_litellm.services.explain import Wanted

router = page_router()

STATUSES: Final = ("ok", "empty", "degraded", "off")


@router.get("/requests")
async def requests(
    page: PageOfProject, status: str = "", user: str = "", session: str = "", strategy: str = "", offset: Offset = 0
) -> Response:
    """Requests, newest first; or those of a status, a user, a session, a strategy."""
    wanted = Wanted(status, user.strip(), session.strip(), strategy)
    found, total = await page.services.explain.list(page.of_project, offset=offset, limit=PAGE, only=wanted)
    return page.show(
        "requests.html",
        requests=Rows(found, total, offset),
        wanted=wanted,
        filtered=wanted != Wanted(),
        statuses=STATUSES,
        strategies=[one.value for one in Strategy],
    )
