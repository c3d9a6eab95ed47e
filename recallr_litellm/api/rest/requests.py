"""Routes of requests: what each was given, and why."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

from recallr_litellm.api.rest.access import IdInPath, ProjectOfKey, TheServices, project_router
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.services.explain import Wanted
from recallr_litellm.services.explanation import Explanation, Summary

router = project_router()


class RequestsPage(BaseModel):
    """Some of the project's last requests, newest first."""

    requests: list[Summary]
    total: int
    has_more: bool


@router.get("/requests", response_model=RequestsPage)
async def list_requests(
    project: ProjectOfKey,
    services: TheServices,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    status: Annotated[str, Query(description="Only those of this memory status, for whatever reason.")] = "",
    user: Annotated[str, Query(description="Only those of this user.")] = "",
    session: Annotated[str, Query(description="Only those of sessions whose id begins so.")] = "",
    strategy: Annotated[str, Query(description="Only those that asked for it, or were searched by it.")] = "",
) -> dict[str, Any]:
    """The last requests of the project, in short."""
    wanted = Wanted(status, user, session, strategy)
    found, total = await services.explain.list(project, offset=offset, limit=limit, only=wanted)
    return {"requests": found, "total": total, "has_more": offset + limit < total}


@router.get("/requests/{request_id}", response_model=Explanation, responses=documented(404))
async def explain_request(request_id: IdInPath, project: ProjectOfKey, services: TheServices) -> dict[str, Any]:
    """What a request was given, and why: its id is the `X-Recallr-Request-Id` of its response."""
    return await services.explain.get(project, request_id)
