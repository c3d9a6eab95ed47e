"""A conflict, and its answers."""

from __future__ import annotations

from fastapi import Response

from recallr_litellm.console.pages.base import Change, PageOfProject, page_router
from recallr_litellm.core.knowledge import Answer

router = page_router()


@router.get("/conflict")
async def conflict(page: PageOfProject, user: str, conflict: str) -> Response:
    """What contradicts what, and the questions that settle it."""
    details = await page.services.conflicts.get(await page.owner(user), conflict)
    return page.show("conflict.html", user=user, conflict=details.conflict, memory=details.memory)


@router.post("/conflict/answer")
async def answer(change: Change) -> Response:
    """Settle it."""
    owner, id = await change.owner(change.value("user")), change.value("conflict")
    details = await change.services.conflicts.get(owner, id)
    answers = [
        Answer(question=one.question, answer=change.value(f"answer{number}"))
        for number, one in enumerate(details.conflict.questions)
    ]
    await change.note("answer conflict", user=owner.user, conflict=id)
    await change.services.conflicts.resolve(owner, id, answers)
    return change.done("conflict", "answered", user=owner.user, conflict=id)
