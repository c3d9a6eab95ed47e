"""The last requests of a project."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from recallr_litellm.console.pages.base import PAGE, PageOfProject, page_router

router = page_router()


@router.get("/requests")
async def requests(page: PageOfProject, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0) -> Response:
    """Requests, newest first."""
    found, total = await page.services.explain.list(page.of_project, offset=offset, limit=PAGE)
    return page.show("requests.html", requests=found, total=total, offset=offset, page_size=PAGE)
