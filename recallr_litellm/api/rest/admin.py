"""Routes of projects and API keys, for whoever has LiteLLM's master key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from recallr_litellm.api.rest.access import IdInPath, TheServices
from recallr_litellm.api.rest.errors import DOCUMENTED, ErrorDetail, ErrorRoute, documented
from recallr_litellm.api.rest.values import moment
from recallr_litellm.core.projects import ProjectSettings
from recallr_litellm.litellm_host.master_key import check_master_key
from recallr_litellm.services.projects import KeyInfo, ProjectInfo

_BEARER = HTTPBearer(scheme_name="LiteLLM master key", auto_error=False)
_MOST_BYTES = 100_000

Item = TypeVar("Item")


class AdminRoute(ErrorRoute):
    """Is for whoever has LiteLLM's master key, and reads nobody's memory."""

    async def admit(self, request: Request) -> int:
        """See `ErrorRoute`."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        check_master_key(key.strip() if scheme.lower() == "bearer" else None)
        return _MOST_BYTES


router = APIRouter(
    prefix="/admin",
    route_class=AdminRoute,
    dependencies=[Security(_BEARER)],
    responses={
        **{status: text for status, text in DOCUMENTED.items() if status != 429},
        401: {"model": ErrorDetail, "description": "Not LiteLLM's master key."},
        403: {"model": ErrorDetail, "description": "LiteLLM has no master key."},
    },
    tags=["recallr"],
)

Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Limit = Annotated[int, Query(ge=1, le=100)]


class SettingsOfProject(ProjectSettings):
    """Settings of a project. One that is null is that of the environment, `RECALLR_…`."""

    model_config = ConfigDict(extra="forbid")

    defaults: dict[str, str | bool | int | float] = Field(  # type: ignore[assignment]
        default_factory=dict,
        description="Header, with or without `X-Recallr-`, and its value where a request does not send it.",
    )


class ProjectResponse(BaseModel):
    """A project."""

    project_id: str
    created_at: datetime | None = Field(description="null: it was not made by this API.")
    configured: bool = Field(description="It is one of `RECALLR_PROJECTS`, or the one with the generated key.")
    valid_keys: int
    settings: ProjectSettings

    @classmethod
    def of(cls, project: ProjectInfo) -> ProjectResponse:
        """As the API says it."""
        return cls(
            project_id=project.id,
            created_at=_moment(project.created_at),
            configured=project.configured,
            valid_keys=project.keys,
            settings=project.settings,
        )


class ProjectList(BaseModel):
    """Some of the projects, by name."""

    projects: list[ProjectResponse]
    total: int
    has_more: bool


class NewProject(BaseModel):
    """A project to make."""

    project_id: str
    settings: SettingsOfProject = Field(default_factory=SettingsOfProject)


class KeyResponse(BaseModel):
    """An API key of a project, without the key itself."""

    key_id: str
    project_id: str
    name: str
    created_at: datetime | None = Field(description="null: it was not made by this API.")
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute; null where no use is known.")
    configured: bool = Field(description="It is in `RECALLR_PROJECTS` or in the data folder, and is revoked there.")

    @classmethod
    def of(cls, key: KeyInfo) -> KeyResponse:
        """As the API says it."""
        return cls(**_said(key))


class NewKeyResponse(KeyResponse):
    """A key that was just made."""

    api_key: str = Field(description="For `X-Recallr-API-Key`. Shown this once.")


class KeyList(BaseModel):
    """Some of the keys of a project, oldest first."""

    keys: list[KeyResponse]
    total: int
    has_more: bool


class NewKey(BaseModel):
    """A key to make."""

    name: str = Field(description="Tells keys apart, for people.")


@router.get("/projects")
async def list_projects(services: TheServices, offset: Offset = 0, limit: Limit = 50) -> ProjectList:
    """All projects, those of the environment among them."""
    found = await services.project_admin.list()
    page, more = _page(found, offset, limit)
    return ProjectList(projects=[ProjectResponse.of(one) for one in page], total=len(found), has_more=more)


@router.post("/projects", status_code=201, responses=documented(409))
async def create_project(new: NewProject, services: TheServices) -> ProjectResponse:
    """Make a project."""
    settings = new.settings.model_dump(exclude_unset=True)
    return ProjectResponse.of(await services.project_admin.create(new.project_id, settings))


@router.get("/projects/{project_id}", responses=documented(404))
async def get_project(project_id: IdInPath, services: TheServices) -> ProjectResponse:
    """One project."""
    return ProjectResponse.of(await services.project_admin.get(project_id))


@router.patch("/projects/{project_id}", responses=documented(404))
async def update_project(project_id: IdInPath, changes: SettingsOfProject, services: TheServices) -> ProjectResponse:
    """Change those settings of a project that the body names; `defaults` as a whole."""
    changed = changes.model_dump(exclude_unset=True)
    return ProjectResponse.of(await services.project_admin.update(project_id, changed))


@router.get("/projects/{project_id}/keys", responses=documented(404))
async def list_keys(project_id: IdInPath, services: TheServices, offset: Offset = 0, limit: Limit = 50) -> KeyList:
    """The keys of a project, revoked ones too."""
    found = await services.project_admin.list_keys(project_id)
    page, more = _page(found, offset, limit)
    return KeyList(keys=[KeyResponse.of(one) for one in page], total=len(found), has_more=more)


@router.post("/projects/{project_id}/keys", status_code=201, responses=documented(404))
async def create_key(project_id: IdInPath, new: NewKey, services: TheServices) -> NewKeyResponse:
    """Make a key. All workers accept it within seconds."""
    key, secret = await services.project_admin.create_key(project_id, new.name)
    return NewKeyResponse(**_said(key), api_key=secret)


@router.delete("/projects/{project_id}/keys/{key_id}", responses=documented(404, 409))
async def revoke_key(project_id: IdInPath, key_id: IdInPath, services: TheServices) -> KeyResponse:
    """Revoke a key. All workers refuse it within seconds."""
    return KeyResponse.of(await services.project_admin.revoke_key(project_id, key_id))


def _said(key: KeyInfo) -> dict[str, Any]:
    return {
        "key_id": key.id,
        "project_id": key.project,
        "name": key.name,
        "created_at": _moment(key.created_at),
        "revoked_at": _moment(key.revoked_at),
        "last_used_at": _moment(key.last_used_at),
        "configured": key.configured,
    }


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)


def _page(items: Sequence[Item], offset: int, limit: int) -> tuple[Sequence[Item], bool]:
    return items[offset : offset + limit], offset + limit < len(items)
