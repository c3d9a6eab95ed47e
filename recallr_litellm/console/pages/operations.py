"""What keeps a project's memory from being complete, and trying it again."""

from __future__ import annotations

from typing import get_args

from fastapi import Response

from recallr_litellm.console.pages.base import Change, FormPage, PageOfProject, page_router
from recallr_litellm.errors import InvalidValue
from recallr_litellm.services.operations import Receiver

router = page_router()

RECEIVERS: tuple[Receiver, ...] = get_args(Receiver)


@router.get("/operations")
async def operations(page: PageOfProject) -> Response:
    """What failed, and what was refused."""
    services, project = page.services.operations, page.of_project
    return page.show(
        "operations.html",
        failed=await services.failed_sessions(project),
        learning=await services.failed_learning(project),
        dead={receiver: await services.dead_letters(project, receiver) for receiver in RECEIVERS},
    )


@router.post("/operations/retry-session")
async def retry_session(change: Change) -> Response:
    """Process a failed session again, or all."""
    session = change.value("session") or None
    await change.note("retry session", session=session or "all")
    await change.services.operations.retry_sessions(change.of_project, session)
    return change.done("operations", "retried")


@router.post("/operations/retry-learning")
async def retry_learning(change: Change) -> Response:
    """Learn again of a user of whom it failed, or of all."""
    user = change.value("user") or None
    await change.note("retry learning", user=user or "all")
    await change.services.operations.retry_learning(change.of_project, user)
    return change.done("operations", "retried")


@router.post("/operations/retry-letter")
async def retry_letter(change: Change) -> Response:
    """Send again what was refused, one or all."""
    message, receiver = change.value("message") or None, _receiver(change)
    await change.note(f"send to {receiver} again", message=message or "all")
    await change.services.operations.retry_dead_letters(change.of_project, message, receiver)
    return change.done("operations", "retried")


@router.post("/operations/delete-letter")
async def delete_letter(change: Change) -> Response:
    """Delete what was refused, one or all."""
    message, receiver = change.value("message") or None, _receiver(change)
    await change.note(f"delete what {receiver} refused", message=message or "all")
    await change.services.operations.delete_dead_letters(change.of_project, message, receiver)
    return change.done("operations", "deleted")


def _receiver(change: FormPage) -> Receiver:
    for receiver in RECEIVERS:
        if change.field("receiver") == receiver:
            return receiver
    raise InvalidValue(f"receiver: must be one of {', '.join(RECEIVERS)}")
