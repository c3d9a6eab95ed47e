"""What keeps a project's memory from being complete, and trying it again."""

from __future__ import annotations

from fastapi import Response

from recallr_litellm.console.pages.base import Change, PageOfProject, page_router

router = page_router()


@router.get("/operations")
async def operations(page: PageOfProject) -> Response:
    """Failed sessions and refused payloads."""
    services = page.services.operations
    return page.show(
        "operations.html",
        failed=await services.failed_sessions(page.of_project),
        dead=await services.dead_letters(page.of_project),
        waiting=(await services.queues()).get(page.of_project.id, {}),
    )


@router.post("/operations/retry-session")
async def retry_session(change: Change) -> Response:
    """Process a failed session again."""
    session = change.field("session")
    await change.note("retry session", session=session)
    await change.services.operations.retry_sessions(change.of_project, session)
    return change.done("operations", "retried")


@router.post("/operations/retry-payload")
async def retry_payload(change: Change) -> Response:
    """Send a refused payload again."""
    message = change.field("message")
    await change.note("retry payload", message=message)
    await change.services.operations.retry_dead_letters(change.of_project, message)
    return change.done("operations", "retried")
