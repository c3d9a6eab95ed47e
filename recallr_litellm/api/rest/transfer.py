"""Routes of a user's memory as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from recallr_litellm.api.rest.access import (
    NewUserInPath,
    OwnerOfPath,
    ProjectOfKey,
    StreamedRoute,
    TheServices,
    project_router,
)
from recallr_litellm.api.rest.errors import documented
from recallr_litellm.errors import InvalidImport
from recallr_litellm.services.transfer.document import FORMAT, LISTS, VERSION
from recallr_litellm.services.transfer.importing import Imported

router = project_router(route_class=StreamedRoute)

_JSON = "application/json"
_DOCUMENT = {
    "type": "object",
    "required": ["format", "version"],
    "properties": {
        "format": {"const": FORMAT, "description": "Stands first."},
        "version": {"const": VERSION},
        "user": {"type": "object"},
        **{name: {"type": "array", "items": {"type": "object"}} for name in sorted(LISTS)},
    },
    "description": "Described in examples/README.md.",
}


class ImportResponse(BaseModel):
    """What an import has brought, and what was there already."""

    sessions: int
    """New, or with new messages."""
    unchanged_sessions: int
    deleted_sessions: int
    """Left out: somebody deleted them within the last day."""
    messages: int
    memories: int
    unchanged_memories: int

    @classmethod
    def of(cls, done: Imported) -> ImportResponse:
        """As the API says it."""
        return cls(
            sessions=done.sessions,
            unchanged_sessions=done.unchanged_sessions,
            deleted_sessions=done.deleted_sessions,
            messages=done.messages,
            memories=done.memories,
            unchanged_memories=done.unchanged_memories,
        )


@router.get(
    "/users/{user_id}/export",
    response_class=StreamingResponse,
    responses={
        **documented(404),
        200: {"description": "All that is remembered of the user.", "content": {_JSON: {"schema": _DOCUMENT}}},
    },
)
async def export_user(owner: OwnerOfPath, services: TheServices) -> StreamingResponse:
    """A user's whole memory as one JSON document."""
    parts = services.exporter.export(owner)
    first = await anext(parts)  # what fails now has a status

    async def document() -> AsyncIterator[bytes]:
        yield first
        async for part in parts:
            yield part

    name = quote(f"{owner.user}.json", safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return StreamingResponse(document(), media_type=_JSON, headers=headers)


@router.post(
    "/users/{user_id}/import",
    openapi_extra={"requestBody": {"required": True, "content": {_JSON: {"schema": _DOCUMENT}}}},
)
async def import_user(
    user_id: NewUserInPath, request: Request, project: ProjectOfKey, services: TheServices
) -> ImportResponse:
    """Take in such a document, or conversations in its form, as this user, who is created where needed. What is there
    already stays as it is, so the same may be imported again. The answer comes when all is stored; sessions then wait
    for their processing."""
    try:
        return ImportResponse.of(await services.importer.take(project, user_id, request.stream()))
    except ClientDisconnect:
        raise InvalidImport("the document broke off") from None


class SummaryResponse(BaseModel):
    """How much is remembered of a user."""

    processed_sessions: int
    open_sessions: int
    """Not processed yet, those set aside as failed among them."""
    messages: int
    memories: int


@router.get("/users/{user_id}/summary", responses=documented(404))
async def summarise_user(owner: OwnerOfPath, services: TheServices) -> SummaryResponse:
    """How much is remembered of a user: what a deletion would delete."""
    found = await services.exporter.holdings(owner)
    return SummaryResponse(
        processed_sessions=found.processed_sessions,
        open_sessions=found.open_sessions,
        messages=found.messages,
        memories=found.memories,
    )
