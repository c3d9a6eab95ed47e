"""Users of a project."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from recallr_litellm.console.pages.base import PAGE, PageOfProject, page_router
from recallr_litellm.services.users import UserPage

router = page_router()


@router.get("/users")
async def users(page: PageOfProject, name: str = "", offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0) -> Response:
    """Users, those made last first; or the one of a name."""
    if name:
        owner = await page.services.users.find(page.of_project, name)
        found = [await page.services.users.get(owner)] if owner is not None else []
        shown = UserPage(found, len(found))
    else:
        shown = await page.services.users.list(page.of_project, offset=offset, limit=PAGE)
    return page.show("users.html", users=shown.users, total=shown.total, name=name, offset=offset, page_size=PAGE)
