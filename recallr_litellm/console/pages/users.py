"""Users of a project."""

from __future__ import annotations

from fastapi import Response

from recallr_litellm.console.pages.base import PAGE, Offset, PageOfProject, Rows, page_router
from recallr_litellm.stores.vectors.users import UserOrder

router = page_router()


@router.get("/users")
async def users(
    page: PageOfProject, name: str = "", order: UserOrder = UserOrder.LAST_SEEN, offset: Offset = 0
) -> Response:
    """Users, all or those with this in their name."""
    services = page.services.users
    found = await services.list(page.of_project, offset=offset, limit=PAGE, part=name, order=order)
    return page.show(
        "users.html",
        users=Rows(found.users, found.total, offset),
        counts=await services.counts(page.of_project, found.users),
        name=name,
        order=order.value,
        orders=[one.value for one in UserOrder],
    )
