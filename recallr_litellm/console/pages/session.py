"""What was said in a session."""

from __future__ import annotations

import asyncio

from fastapi import Response

from recallr_litellm.console.pages.base import PAGE, Change, Offset, PageOfProject, Rows, page_router

router = page_router()


@router.get("/session")
async def session(page: PageOfProject, user: str, session: str, offset: Offset = 0) -> Response:
    """What was said in a session and learned from it, and what can be done about it."""
    owner, services = await page.owner(user), page.services
    info = await services.sessions.get(owner, session)
    messages, learned = await asyncio.gather(
        services.sessions.messages(owner, session, offset=offset, limit=PAGE),
        services.memories.page(owner, offset=0, limit=PAGE, sessions=[session]),
    )
    return page.show(
        "session.html", user=user, session=info, messages=Rows(*messages, offset), learned=Rows(*learned, 0)
    )


@router.post("/session/end")
async def end(change: Change) -> Response:
    """Have a session become memory now."""
    user, session = change.value("user"), change.value("session")
    owner = await change.owner(user)
    await change.note("end session", user=user, session=session)
    await change.services.sessions.process(owner, session)
    return change.done("session", "ended", user=user, session=session)


@router.post("/session/delete")
async def delete(change: Change) -> Response:
    """Forget a session, and what was learned from it."""
    user, session = change.value("user"), change.value("session")
    owner = await change.owner(user)
    await change.services.sessions.get(owner, session)
    await change.note("delete session", user=user, session=session)
    await change.services.forgetting.forget_session(owner, session)
    return change.done("user", "deleted", user=user)
