"""Projects, their settings and their API keys, as an administrator sees them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import PydanticCustomError

from recallr_litellm.core.projects import KeyRecord, ProjectRecord, ProjectSettings
from recallr_litellm.errors import (
    InvalidProject,
    KeyIsConfigured,
    KeyNotFound,
    ProjectExists,
    ProjectNotFound,
    StateUnavailable,
)
from recallr_litellm.header_values import check_text
from recallr_litellm.projects import Projects, digest_of
from recallr_litellm.request_headers import read_defaults
from recallr_litellm.services.known_projects import KnownProjects, now_ms
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.vectors import VectorStore

KEY_PREFIX: Final = "rai_"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CONFIGURED: Final = "configured-"
"""What the ids of keys begin with that the environment gives."""


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project."""

    id: str
    created_at: int | None
    """Milliseconds since the epoch, UTC; None for one that only the environment names."""
    configured: bool
    """The environment gives it a key: it is one of `RECALLR_PROJECTS`, or the generated one."""
    settings: ProjectSettings
    keys: int
    """How many are valid."""


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key, without the key itself."""

    id: str
    project: str
    name: str
    created_at: int | None
    """Milliseconds since the epoch, UTC, as are all its times; None for one that the environment gives."""
    revoked_at: int | None
    last_used_at: int | None
    """To the minute; None where no use is known."""
    configured: bool
    """The environment gives it."""


class ProjectAdmin:
    """What an administrator does with projects and keys.

    Args:
        known: is told of each change.
        min_session_timeout_seconds: see `read_defaults`.
        clock: milliseconds since the epoch.
    """

    def __init__(
        self,
        projects: Projects,
        known: KnownProjects,
        vectors: VectorStore,
        state: StateStore,
        *,
        min_session_timeout_seconds: int,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._projects = projects
        self._known = known
        self._vectors = vectors
        self._state = state
        self._min_session_timeout_seconds = min_session_timeout_seconds
        self._clock = clock

    async def list(self) -> Sequence[ProjectInfo]:
        """All projects by name, those of the environment among them."""
        recorded = {project.id: project for project in await self._vectors.projects()}
        keys = await self._vectors.keys()
        names = sorted({*recorded, *self._projects.configured})
        return [self._info(name, recorded.get(name), keys) for name in names]

    async def get(self, project: str) -> ProjectInfo:
        """One project. Raises ProjectNotFound."""
        return self._info(project, await self._existing(project), await self._vectors.keys())

    async def create(self, project: str, settings: Mapping[str, Any] | None = None) -> ProjectInfo:
        """Make a project. It has no key yet.

        Raises:
            InvalidProject: the name or a setting is none.
            ProjectExists: there is one of that name.
        """
        if not _NAME.fullmatch(project):
            raise InvalidProject(
                "project_id: must have 1 to 128 letters, digits, dots, hyphens and underscores, and begin with a "
                "letter or a digit"
            )
        if project in self._projects.configured or await self._vectors.get_project(project) is not None:
            raise ProjectExists(f"Project {project} exists")
        now = self._clock()
        record = ProjectRecord(id=project, created_at=now, updated_at=now, settings=self._read({}, settings or {}))
        await self._vectors.put_project(record, keep_existing=True)
        if await self._vectors.get_project(project) != record:  # somebody else was faster
            raise ProjectExists(f"Project {project} exists")
        await self._known.changed()
        return await self.get(project)

    async def update(self, project: str, changes: Mapping[str, Any]) -> ProjectInfo:
        """Change some of a project's settings.

        Args:
            changes: field of `ProjectSettings` → its new value; None leaves it to the environment. `defaults` replaces
                all defaults.

        Raises:
            ProjectNotFound: there is none of that name.
            InvalidProject: a setting is none.
        """
        record, now = await self._existing(project), self._clock()
        record = record or ProjectRecord(id=project, created_at=now, updated_at=now)
        settings = self._read(record.settings.model_dump(), changes)
        await self._vectors.put_project(record.model_copy(update={"settings": settings, "updated_at": now}))
        await self._known.changed()
        return await self.get(project)

    async def list_keys(self, project: str) -> Sequence[KeyInfo]:
        """All keys of a project, revoked ones too, oldest first. Raises ProjectNotFound."""
        await self._existing(project)
        uses = await self._last_uses()
        configured = range(1, len(self._projects.configured.get(project, ())) + 1)
        recorded = [key for key in await self._vectors.keys() if key.project == project]
        return [
            *(_configured_key(project, number) for number in configured),
            *(_key_info(key, uses) for key in sorted(recorded, key=lambda key: (key.created_at, key.id))),
        ]

    async def create_key(self, project: str, name: str) -> tuple[KeyInfo, str]:
        """Make a key. It is valid at once in this worker, and within seconds in all.

        Args:
            name: for people, to tell keys apart.

        Returns:
            The key, which nobody can be told again, after what is kept of it.

        Raises:
            ProjectNotFound: there is no such project.
            InvalidProject: the name is none.
        """
        try:
            check_text(name)
        except ValueError as error:
            raise InvalidProject(f"name: {error}") from None
        now = self._clock()
        if await self._existing(project) is None:  # so that it stays a project, whatever the environment names later
            record = ProjectRecord(id=project, created_at=now, updated_at=now)
            await self._vectors.put_project(record, keep_existing=True)
        secret = f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"
        key = KeyRecord(id=secrets.token_hex(8), project=project, name=name, digest=digest_of(secret), created_at=now)
        await self._vectors.put_key(key)
        await self._known.changed()
        return _key_info(key, {}), secret

    async def revoke_key(self, project: str, key_id: str) -> KeyInfo:
        """Make a key void: at once in this worker, within seconds in all. One that is void stays so.

        Raises:
            ProjectNotFound: there is no such project.
            KeyNotFound: it has no such key.
            KeyIsConfigured: the environment gives it.
        """
        await self._existing(project)
        if key_id in {f"{_CONFIGURED}{n + 1}" for n in range(len(self._projects.configured.get(project, ())))}:
            raise KeyIsConfigured(
                f"Key {key_id} is one of RECALLR_PROJECTS, or of the data folder: take it out there and restart the "
                "gateway"
            )
        key = await self._vectors.get_key(key_id)
        if key is None or key.project != project:
            raise KeyNotFound(f"Key {key_id} not found")
        if key.revoked_at is None:
            key = key.model_copy(update={"revoked_at": self._clock()})
            await self._vectors.put_key(key)
        await self._known.changed()
        return _key_info(key, await self._last_uses())

    async def _last_uses(self) -> Mapping[str, int]:
        try:
            return await self._state.last_uses()
        except StateUnavailable:  # keys are Qdrant's: an outage of Redis keeps nobody from revoking one
            return {}

    async def _existing(self, project: str) -> ProjectRecord | None:
        """The record of a project; None for one that only the environment names."""
        record = await self._vectors.get_project(project)
        if record is None and project not in self._projects.configured:
            raise ProjectNotFound(f"Project {project} not found")
        return record

    def _read(self, before: Mapping[str, Any], changes: Mapping[str, Any]) -> ProjectSettings:
        changed = {**before, **changes}
        try:
            defaults = read_defaults(
                dict(changed.get("defaults") or {}), min_session_timeout_seconds=self._min_session_timeout_seconds
            )
        except PydanticCustomError as error:
            raise InvalidProject(f"defaults: {error.message()}") from None
        return ProjectSettings.model_validate({**changed, "defaults": defaults})

    def _info(self, id: str, record: ProjectRecord | None, keys: Sequence[KeyRecord]) -> ProjectInfo:
        configured = self._projects.configured.get(id, ())
        valid = [key for key in keys if key.project == id and key.revoked_at is None]
        return ProjectInfo(
            id=id,
            created_at=record.created_at if record else None,
            configured=bool(configured),
            settings=record.settings if record else ProjectSettings(),
            keys=len(configured) + len(valid),
        )


def _key_info(key: KeyRecord, uses: Mapping[str, int]) -> KeyInfo:
    return KeyInfo(
        id=key.id,
        project=key.project,
        name=key.name,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        last_used_at=uses.get(key.id),
        configured=False,
    )


def _configured_key(project: str, number: int) -> KeyInfo:
    return KeyInfo(f"{_CONFIGURED}{number}", project, "RECALLR_PROJECTS", None, None, None, configured=True)
