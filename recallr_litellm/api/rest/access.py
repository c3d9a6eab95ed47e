"""Who asks, and whose memory is asked for: what routes take as parameters.

router = project_router()

@router.get("/users/{user_id}/things", responses=documented(404))
async def list_things(owner: OwnerOfPath, services: TheServices) -> Things: ...
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Path, Request, Security
from fastapi.security import APIKeyHeader
from pydantic import AfterValidator

from recallr_litellm.api.rest.errors import DOCUMENTED, ErrorRoute
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.errors import UserNotFound
from recallr_litellm.request_headers import RawHeaders, check_user_id
from recallr_litellm.services import Services

_KEY = APIKeyHeader(name="X-Recallr-API-Key", scheme_name="Recallr key", auto_error=False)
_PROJECT = APIKeyHeader(name="X-Recallr-Project-Id", scheme_name="Recallr project", auto_error=False)


async def admitted_project(headers: RawHeaders, services: Services) -> Project:
    """The project of a request.

    Raises:
        Unauthorized: bad or missing key or project.
        KeysUnavailable: the key cannot be checked.
        TooManyRequests: the project has had its requests of this minute.
    """
    name = headers.first("project-id")
    services.projects.authenticate(name, headers.first("api-key"))
    project = Project(name or "")
    await services.limits.admit(project)
    return project


class ProjectRoute(ErrorRoute):
    """Is for whoever has a key of a project."""

    async def admit(self, request: Request) -> int | None:
        """See `ErrorRoute`."""
        services = _services(request)
        headers, _ = RawHeaders.take(request.headers.raw)
        project = request.state.recallr_project = await admitted_project(headers, services)
        return services.limits.max_body_bytes(project)


class StreamedRoute(ProjectRoute):
    """The same, for a route that reads a body of any length as it comes."""

    async def admit(self, request: Request) -> None:
        """See `ErrorRoute`."""
        await super().admit(request)


def project_router(route_class: type[ProjectRoute] = ProjectRoute) -> APIRouter:
    """A router all of whose routes are for a project. They are documented with its two headers."""
    documentation = [Security(_KEY), Security(_PROJECT)]
    return APIRouter(route_class=route_class, dependencies=documentation, responses=DOCUMENTED, tags=["recallr"])


def _services(request: Request) -> Services:
    services: Services = request.app.state.recallr_services
    return services


def _project(request: Request) -> Project:
    project: Project = request.state.recallr_project
    return project


def _decoded(segment: str) -> str:
    # The path was matched as it was sent (`gateway/asgi.py`), so that an id may hold a slash.
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("must be UTF-8") from None


IdInPath = Annotated[str, Path(), AfterValidator(_decoded)]
"""An id in the path, percent-encoded where it is not plain."""
NewUserInPath = Annotated[IdInPath, AfterValidator(check_user_id)]
"""Likewise, of a user who may not exist yet."""
TheServices = Annotated[Services, Depends(_services)]
ProjectOfKey = Annotated[Project, Depends(_project)]
"""The project whose key was sent."""


async def _owner(user_id: IdInPath, project: ProjectOfKey, services: TheServices) -> Owner:
    owner = await services.users.find(project, user_id) if _could_be_user(user_id) else None
    if owner is None:
        raise UserNotFound(f"User {user_id} not found")
    return owner


def _could_be_user(user_id: str) -> bool:
    try:
        check_user_id(user_id)
    except ValueError:
        return False
    return True


OwnerOfPath = Annotated[Owner, Depends(_owner)]
"""The user `{user_id}` of the project."""
