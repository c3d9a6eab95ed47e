"""One user: what is known, who and what is spoken of, sessions by day, conflicts; export and forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo
from itertools import groupby
from typing import Final

from fastapi import Response
from fastapi.responses import StreamingResponse

from recallr_litellm.console.pages.base import PAGE, Change, Offset, PageOfProject, Rows, page_router
from recallr_litellm.core.knowledge import ConflictStatus
from recallr_litellm.errors import InvalidCategories, InvalidValue
from recallr_litellm.printable import printable
from recallr_litellm.services.memories import MemoryState
from recallr_litellm.services.sessions import SessionInfo

router = page_router()

_ENTITIES: Final = 12
"""That are shown; the graph has the others."""
_MEMORIES: Final = 20
_SESSIONS: Final = 10
"""Of a page of the lists."""


@router.get("/user")
async def user(
    page: PageOfProject,
    user: str,
    sessions: Offset = 0,
    memories: Offset = 0,
    state: MemoryState = MemoryState.CURRENT,
    category: str = "",
    search: str = "",
) -> Response:
    """What there is of a user.

    Args:
        sessions: how many sessions to skip.
        memories: how many memories to skip.
        state: which memories are listed, as `category` and `search` say too.
    """
    owner, services = await page.owner(user), page.services

    async def chosen() -> Rows:
        categories = [category] if category else []
        try:
            found, total = await services.memories.page(
                owner, offset=memories, limit=_MEMORIES, categories=categories, state=state, search=search
            )
        except InvalidCategories:  # none in this state
            found, total = [], 0
        return Rows(found, total, memories, "memories", _MEMORIES)

    details, of_sessions, conflicts = await asyncio.gather(
        services.users.get(owner),
        services.sessions.page(owner, offset=sessions, limit=_SESSIONS),
        services.conflicts.page(owner, offset=0, limit=PAGE, status=ConflictStatus.PENDING),
    )
    profile, (entities, categories), of_memories = await asyncio.gather(
        services.profiles.lines(owner, now=datetime.now(UTC)),
        services.graph.spoken_of(owner),
        chosen(),
    )
    return page.show(
        "user.html",
        details=details,
        user=details.user,
        profile=profile,
        entities=Rows(entities[:_ENTITIES], len(entities), 0),
        categories=categories,
        memories=of_memories,
        filtered=bool(category or search or state is not MemoryState.CURRENT),
        state=state.value,
        states=[one.value for one in MemoryState],
        category=category,
        search=search,
        sessions=Rows(*of_sessions, sessions, "sessions", _SESSIONS),
        days=by_day(of_sessions[0], page.timezone),
        conflicts=Rows(*conflicts, 0),
    )


def by_day(sessions: Sequence[SessionInfo], timezone: tzinfo) -> list[tuple[date, list[SessionInfo]]]:
    """The days on which sessions were last used, the latest first, each with its sessions."""

    def day(session: SessionInfo) -> date:
        return datetime.fromtimestamp(session.last_at / 1000, timezone).date()

    newest_first = sorted(sessions, key=lambda session: -session.last_at)
    return [(one, list(of_day)) for one, of_day in groupby(newest_first, day)]


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
    owner = await change.owner(change.value("user"))
    if change.field("confirmed") not in {owner.user, owner.user.strip(), printable(owner.user).strip()}:
        raise InvalidValue("the name that was typed in is not the user's: nobody was forgotten")
    await change.note("forget user", user=owner.user)
    await change.services.users.forget(owner)
    return change.done("users", "forgotten")
