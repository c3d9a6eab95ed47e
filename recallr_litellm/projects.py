"""Projects, their API keys and their settings, as this process knows them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import PydanticCustomError

from recallr_litellm.core.projects import KeyRecord, ProjectRecord, ProjectSettings
from recallr_litellm.errors import ConfigurationError, KeysUnavailable, Unauthorized
from recallr_litellm.key_file import read_or_make
from recallr_litellm.logs import Once
from recallr_litellm.request_headers import read_defaults
from recallr_litellm.settings import Settings

_log = logging.getLogger(__name__)

DEFAULT_PROJECT: Final = "default"
KEY_FILE: Final = "api_key"

_TOP_K: Final = frozenset({"min_top_k", "max_top_k"})
"""Checked against each other, hence taken from one place."""


def digest_of(key: str) -> str:
    """What is kept of a key: its SHA-256, 64 hexadecimal characters."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Recorded:
    """The projects and keys that were made by the API. Revoked keys are not among them."""

    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    """By digest."""
    settings: Mapping[str, ProjectSettings] = field(default_factory=dict)
    """By project."""

    @classmethod
    def of(cls, projects: Iterable[ProjectRecord], keys: Iterable[KeyRecord]) -> Recorded:
        """What these records say."""
        return cls(
            {key.digest: key for key in keys if key.revoked_at is None},
            {project.id: project.settings for project in projects},
        )


class Projects:
    """The projects of this gateway. Keys are held as digests only.

    Args:
        configured: project → the keys that the environment gives it.
        environment: the settings of projects that have none of their own.
        agentic_projects: the projects that may use `agentic` recall, as far as their own settings do not say;
            None for all.
        min_session_timeout_seconds: see `read_defaults`.
        recorded: see `Projects.learn`. None until it was read.
    """

    def __init__(
        self,
        configured: Mapping[str, Iterable[str]],
        *,
        environment: ProjectSettings | None = None,
        agentic_projects: Iterable[str] | None = None,
        min_session_timeout_seconds: int = 0,
        recorded: Recorded | None = Recorded(),
    ) -> None:
        self.configured: Mapping[str, tuple[str, ...]] = {
            project: tuple(digest_of(key) for key in keys) for project, keys in configured.items()
        }
        """Project → digests of the keys that the environment gives it."""
        self.used: set[str] = set()
        """Ids of recorded keys that were used. Whoever notes that empties it."""
        self._configured_keys: dict[str, frozenset[str]] = {}
        for project, digests in self.configured.items():
            for digest in digests:
                self._configured_keys[digest] = self._configured_keys.get(digest, frozenset()) | {project}
        self._environment = environment or ProjectSettings()
        self._agentic_projects = None if agentic_projects is None else frozenset(agentic_projects)
        self._min_session_timeout_seconds = min_session_timeout_seconds
        self._told = Once()
        self._recorded: Recorded | None = None
        self._settings: dict[str, ProjectSettings] = {}
        if recorded is not None:
            self.learn(recorded)

    def learn(self, recorded: Recorded) -> None:
        """Take what the store says, in place of what it said before."""
        self._recorded = recorded
        self._settings = {
            project: self._usable(project, own).over(self._inherited(project))
            for project, own in recorded.settings.items()
        }

    def authenticate(self, project: str | None, api_key: str | None) -> None:
        """Check that the key belongs to the project.

        A key is looked up by its digest, whatever the project: how long that takes says nothing of any project, nor of
        how near a wrong key comes to a right one.

        Raises:
            Unauthorized: it does not. Whether the project exists is not told.
            KeysUnavailable: the environment does not know it, and the store could not be asked yet.
        """
        if not project or not api_key:
            missing = "X-Recallr-API-Key" if not api_key else "X-Recallr-Project-Id"
            raise Unauthorized(f"{missing} is missing", param=missing)
        digest = digest_of(api_key)
        if project in self._configured_keys.get(digest, ()):
            return
        if self._recorded is None:
            raise KeysUnavailable("The API keys could not be read from the vector store yet")
        key = self._recorded.keys.get(digest)
        if key is None or key.project != project:
            raise Unauthorized(
                "X-Recallr-API-Key does not belong to the project in X-Recallr-Project-Id", param="X-Recallr-API-Key"
            )
        self.used.add(key.id)

    def keys_of(self, project: str) -> Mapping[str, str]:
        """Digest → name of the project's valid keys, as far as they are known."""
        configured = dict.fromkeys(self.configured.get(project, ()), "RECALLR_PROJECTS")
        recorded = self._recorded.keys.values() if self._recorded is not None else ()
        return configured | {key.digest: key.name for key in recorded if key.project == project}

    def settings_of(self, project: str) -> ProjectSettings:
        """What holds for a project: its own settings over those of the environment."""
        return self._settings.get(project) or self._inherited(project)

    def defaults_of(self, project: str, bound: Mapping[str, str] | None = None) -> Mapping[str, str]:
        """Defaults for headers that a request of this project does not send.

        Args:
            bound: those of its LiteLLM key, which win.
        """
        own = self.settings_of(project).defaults
        if not bound:
            return own
        left_out = _TOP_K if _TOP_K & bound.keys() else frozenset()
        return {**{name: value for name, value in own.items() if name not in left_out}, **bound}

    def retention_days(self, project: str) -> int | None:
        """Days after which a session of the project is forgotten; None: never."""
        return self.settings_of(project).retention_days

    def retentions(self) -> dict[str, int]:
        """Project → days after which its sessions are forgotten. Without those that keep them for ever, and of none
        until the settings in the store were read."""
        if self._recorded is None:
            return {}
        projects = {*self.configured, *self._settings, *(key.project for key in self._recorded.keys.values())}
        return {project: days for project in sorted(projects) if (days := self.retention_days(project)) is not None}

    def may_use_agentic(self, project: str) -> bool:
        """Whether the project's memory may be searched by a model."""
        return self.settings_of(project).agentic is not False

    def profile_tokens(self, project: str) -> int:
        """Most tokens of the profile of the project's users; 0: there is none."""
        return self.settings_of(project).profile_tokens or 0

    def wants_explanations(self, project: str) -> bool:
        """Whether it is kept what the project's requests were given and why, where the environment has it kept."""
        return self.settings_of(project).explain is not False

    def _inherited(self, project: str) -> ProjectSettings:
        if self._agentic_projects is None:
            return self._environment
        return self._environment.model_copy(update={"agentic": project in self._agentic_projects})

    def _usable(self, project: str, settings: ProjectSettings) -> ProjectSettings:
        """The settings, without defaults that the environment has made wrong since they were written."""
        try:
            read_defaults(dict(settings.defaults), min_session_timeout_seconds=self._min_session_timeout_seconds)
        except PydanticCustomError as error:
            if self._told.first(project):
                _log.warning("The defaults of project %r are left aside: %s", project, error.message())
            return settings.model_copy(update={"defaults": {}})
        return settings


def load_projects(settings: Settings) -> Projects:
    """The configured projects, or the `default` one with its generated key. Those of the store are not read yet.

    Raises:
        ConfigurationError: a project has no key or an empty one, or the key file cannot be used.
    """
    return Projects(
        _configured(settings),
        environment=ProjectSettings(
            retention_days=settings.retention_days,
            requests_per_minute=settings.api_requests_per_minute,
            max_body_bytes=settings.api_max_body_bytes,
            learning=settings.learning,
            memory_budget_tokens=settings.memory_budget_tokens,
            profile_tokens=settings.profile_tokens,
        ),
        agentic_projects=settings.agentic_projects,
        min_session_timeout_seconds=settings.min_session_timeout_seconds,
        recorded=None,
    )


def _configured(settings: Settings) -> Mapping[str, list[str]]:
    if settings.projects is not None:
        for project, keys in settings.projects.items():
            if not project or not keys or not all(key.get_secret_value().strip() for key in keys):
                raise ConfigurationError(
                    "RECALLR_PROJECTS: every project needs a name and at least one non-empty API key, "
                    'as in {"my-project": ["rai_…"]}'
                )
        return {name: [key.get_secret_value() for key in keys] for name, keys in settings.projects.items()}
    path = settings.data_dir / KEY_FILE
    key = read_or_make(path, prefix="rai_")
    _log.info(
        "Project %r: its API key is in %s (set RECALLR_PROJECTS to use your own)", DEFAULT_PROJECT, path.resolve()
    )
    return {DEFAULT_PROJECT: [key]}
