"""Who changed what."""

from __future__ import annotations

from fastapi import Response

from recallr_litellm.console.access import project_for
from recallr_litellm.console.pages.base import PAGE, Offset, PageOfAll, Rows, page_router

router = page_router()


@router.get("/audit")
async def audit(page: PageOfAll, who: str = "", action: str = "", target: str = "", offset: Offset = 0) -> Response:
    """Changes, newest first: of a project; without one, of all projects for whoever has the master key."""
    if page.project is None and page.visit.is_admin:
        projects = [one.id for one in await page.services.project_admin.list()]
    else:
        page.project = project_for(page.visit, page.project.id if page.project else None)
        projects = [page.project.id]
    entries, total = await page.services.audit.page(
        projects, offset=offset, limit=PAGE, who=who.strip(), action=action.strip(), target=target.strip()
    )
    return page.show("audit.html", entries=Rows(entries, total, offset), who=who, action=action, target=target)
