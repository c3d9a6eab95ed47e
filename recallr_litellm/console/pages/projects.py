"""Projects and their keys, for whoever has LiteLLM's master key."""

from __future__ import annotations

from fastapi import Response

from recallr_litellm.console.pages.base import Change, FormPage, Page, PageOfAll, page_router
from recallr_litellm.errors import Unauthorized

router = page_router()


@router.get("/projects")
async def projects(page: PageOfAll) -> Response:
    """All projects, or the keys of one of them."""
    _check_admin(page)
    admin = page.services.project_admin
    name = page.project.id if page.project else None
    return page.show(
        "projects.html",
        projects=await admin.list(),
        keys=await admin.list_keys(name) if name else [],
        made=None,
    )


@router.post("/projects/create-key")
async def create_key(change: Change) -> Response:
    """Make a key, and show it this once."""
    _check_admin(change)
    project = change.of_project.id
    await change.note("create key", name=change.field("name"))
    _, secret = await change.services.project_admin.create_key(project, change.field("name"))
    admin = change.services.project_admin
    return change.show("projects.html", projects=await admin.list(), keys=await admin.list_keys(project), made=secret)


@router.post("/projects/revoke-key")
async def revoke_key(change: Change) -> Response:
    """Make a key void."""
    _check_admin(change)
    key = change.field("key")
    await change.note("revoke key", key=key)
    await change.services.project_admin.revoke_key(change.of_project.id, key)
    return change.done("projects", "revoked")


@router.post("/projects/create")
async def create(change: Change) -> Response:
    """Make a project."""
    _check_admin(change)
    name = change.of_project.id
    await change.note("create project", project=name)
    await change.services.project_admin.create(name)
    return change.done("projects", "created")


def _check_admin(page: Page | FormPage) -> None:
    if not page.visit.is_admin:
        raise Unauthorized("Projects and keys are for whoever comes in with LiteLLM's master key")
