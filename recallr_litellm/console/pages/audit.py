"""Who changed what."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from recallr_litellm.console.pages.base import PAGE, PageOfProject, page_router

router = page_router()


@router.get("/audit")
async def audit(page: PageOfProject, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0) -> Response:
    """Changes, newest first."""
    entries, total = await page.services.audit.page(page.of_project, offset=offset, limit=PAGE)
    return page.show("audit.html", entries=entries, total=total, offset=offset, page_size=PAGE)
