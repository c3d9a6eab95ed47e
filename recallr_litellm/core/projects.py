"""Records of projects and their API keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ProjectSettings(BaseModel):
    """What is set for a project. None: the environment's setting holds."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    defaults: Mapping[str, str] = Field(default_factory=dict)
    """Field of `RecallrHeaders` → its value where a request sends no such header and its LiteLLM key gives none."""
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Days after which a session of the project is forgotten."""
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests to the API that are served in a minute."""
    max_body_bytes: Annotated[int, Field(ge=1_000, le=1_000_000_000)] | None = None
    """Size up to which a request to the API is read."""
    explain: bool | None = None
    """False: it is not kept what a request was given and why."""
    agentic: bool | None = None
    """Whether `agentic` recall may be used."""

    learning: bool | None = None
    """Whether facts are learned from its sessions."""
    memory_budget_tokens: Annotated[int, Field(ge=0)] | None = None
    """Tokens a day that learning and agentic recall may use for it."""
    profile_tokens: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Tokens of the profile of a user that is always shown; 0: none."""
    categories: (
        Annotated[tuple[Annotated[str, Field(min_length=1, max_length=80)], ...], Field(max_length=50)] | None
    ) = None
    """Categories of facts; any where there are none."""
    learn: Annotated[str, Field(max_length=2_000)] | None = None
    """What is to be learned, in words for the model, with examples."""
    never_learn: Annotated[str, Field(max_length=2_000)] | None = None
    """What is not to be learned, likewise."""
    merge_conflicts: bool | None = None
    """Whether the user is asked where facts contradict each other. A user's own setting comes first."""

    def over(self, others: ProjectSettings) -> ProjectSettings:
        """These settings, and where one is None the other's."""
        own = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        return others.model_copy(update=own)


class ProjectRecord(BaseModel):
    """A project that was made by the API, or that has settings or keys made by it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    created_at: int
    """Milliseconds since the epoch, UTC, as is `updated_at`."""
    updated_at: int
    settings: ProjectSettings = ProjectSettings()


class KeyRecord(BaseModel):
    """An API key of a project. The key itself is not kept."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    project: str
    name: str
    digest: str
    """SHA-256 of the key, 64 hexadecimal characters. A key has 256 random bits: it needs no salt and no slow hash."""
    created_at: int
    """Milliseconds since the epoch, UTC."""
    revoked_at: int | None = None
    """Likewise; None while it is valid."""
