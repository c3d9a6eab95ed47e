"""What was said in a session."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response

from recallr_litellm.console.pages.base import PAGE, Change, PageOfProject, page_router

router = page_router()


@router.get("/session")
async def session(
    page: PageOfProject, user: str, session: str, offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0
) -> Response:
    """A session's messages, and what can be done about it."""
    owner = await page.owner(user)
    info = await page.services.sessions.get(owner, session)
    messages, total = await page.services.sessions.messages(owner, session, offset=offset, limit=PAGE)
    return page.show(
        "session.html",
        user=user,
        session=info,
        messages=messages,
        total=total,
        offset=offset,
        page_size=PAGE,
    )


@router.post("/session/end")
async def end(change: Change) -> Response:
    """Have a session become memory now."""
    user, session = change.field("user"), change.field("session")
    owner = await change.owner(user)
    await change.note("end session", user=user, session=session)
    await change.services.sessions.process(owner, session)
    return change.done("session", "ended", user=user, session=session)


@router.post("/session/delete")
async def delete(change: Change) -> Response:
    """Forget a session, and what was learned from it."""
    user, session = change.field("user"), change.field("session")
    owner = await change.owner(user)
    await change.services.sessions.get(owner, session)
    await change.note("delete session", user=user, session=session)
    await change.services.forgetting.forget_session(owner, session)
    return change.done("user", "deleted", user=user)
