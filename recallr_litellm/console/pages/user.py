"""One user: sessions, what is known, conflicts; export and forgetting."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from recallr_litellm.console.pages.base import PAGE, Change, PageOfProject, page_router
from recallr_litellm.core.knowledge import ConflictStatus
from recallr_litellm.errors import InvalidValue

router = page_router()

Offset = Annotated[int, Query(ge=0, le=1_000_000)]


@router.get("/user")
async def user(page: PageOfProject, user: str, sessions: Offset = 0, memories: Offset = 0) -> Response:
    """What there is of a user.

    Args:
        sessions: how many sessions to skip.
        memories: how many memories to skip.
    """
    owner, services = await page.owner(user), page.services
    details, of_sessions, of_memories, of_conflicts = await asyncio.gather(
        services.users.get(owner),
        services.sessions.page(owner, offset=sessions, limit=PAGE),
        services.memories.page(owner, offset=memories, limit=PAGE),
        services.conflicts.page(owner, offset=0, limit=PAGE, status=ConflictStatus.PENDING),
    )
    return page.show(
        "user.html",
        details=details,
        user=details.user,
        sessions=of_sessions[0],
        sessions_total=of_sessions[1],
        sessions_offset=sessions,
        memories=of_memories[0],
        memories_total=of_memories[1],
        memories_offset=memories,
        conflicts=of_conflicts[0],
        page_size=PAGE,
    )


@router.get("/user/export")
async def export(page: PageOfProject, user: str) -> Response:
    """All that there is of a user, as a file."""
    owner = await page.owner(user)
    await page.services.audit.note(page.of_project, page.visit.key_name, "export user", user=user)
    headers = {"Content-Disposition": 'attachment; filename="recallr-user.json"'}
    return StreamingResponse(page.services.exporter.export(owner), media_type="application/json", headers=headers)


@router.post("/user/forget")
async def forget(change: Change) -> Response:
    """Forget a user whose name was typed in once more."""
    owner = await change.owner(change.field("user"))
    if change.field("confirmed") != owner.user:
        raise InvalidValue("the name that was typed in is not the user's: nobody was forgotten")
    await change.note("forget user", user=owner.user)
    await change.services.users.forget(owner)
    return change.done("users", "forgotten")
