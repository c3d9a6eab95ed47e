"""Every setting of the plugin, in one place. Environment or `.env`; each field says what it does."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from recallr_litellm.core.options import Strategy
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.upstream_urls import Upstreams, https_or_loopback

VALKEY_FOLDER = "redis"
"""Name of the embedded Valkey's folder in the data folder."""


_Settings = TypeVar("_Settings", bound="EnvironmentSettings")


class BoundBy(StrEnum):
    """Whose metadata may bind a project."""

    KEY = "key"
    TEAM = "team"


class InjectInto(StrEnum):
    """Where the memory block goes."""

    USER = "user"
    SYSTEM = "system"


class LogUsers(StrEnum):
    """How a user is named in the log line of a request."""

    HASHED = "hashed"
    PLAIN = "plain"
    OFF = "off"


class EnvironmentSettings(BaseSettings):
    """Settings from the environment or `.env`, whose errors never show a value."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A blank value, as in `RECALLR_REDIS_URL=`, means "not set"."""
        for source in (env_settings, dotenv_settings):
            assert isinstance(source, EnvSettingsSource)
            source.env_vars = {name: value for name, value in source.env_vars.items() if value and value.strip()}
        return init_settings, env_settings, dotenv_settings


class Settings(EnvironmentSettings):
    """Settings of the plugin.

    >>> Settings().data_dir
    PosixPath('.recallr')
    """

    model_config = SettingsConfigDict(env_prefix="RECALLR_")

    data_dir: Path = Field(Path(".recallr"), description="Folder of the embedded stores and the generated keys.")

    redis_url: SecretStr | None = Field(
        None,
        description=(
            "Redis of the state store: `redis://`, `rediss://`, `unix://`; several nodes of a cluster or of "
            "Sentinels with `redis+cluster://` and `redis+sentinel://host:26379,…/service`. Unset: embedded Valkey."
        ),
    )
    qdrant_url: str | None = Field(None, description="Qdrant server. Unset: embedded Qdrant Edge.")
    qdrant_api_key: SecretStr | None = Field(None, description="API key of the Qdrant server.")
    collection: str = Field(
        "recallr",
        min_length=1,
        description="What the names of the Qdrant collections begin with; the embedding model follows.",
    )

    projects: dict[str, list[SecretStr]] | None = Field(
        None,
        description=(
            'JSON `{"project-id": ["api key", …]}`. Unset: a project `default` with a generated key in '
            "`<data dir>/api_key`."
        ),
    )

    bound_by: list[BoundBy] = Field(
        [BoundBy.KEY, BoundBy.TEAM],
        description=(
            'Whose LiteLLM metadata may bind a project, JSON. Where users make keys of their own, `["team"]`: '
            "whoever writes a key's metadata chooses its project."
        ),
    )

    api_requests_per_minute: int | None = Field(
        None, ge=1, description="Requests to the API that a project has in a minute; 429 past that. Unset: any number."
    )
    api_max_body_bytes: int = Field(
        10_000_000, ge=1000, description="Most bytes of a request to the API, imports apart; 413 past that."
    )

    retention_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="Days after its last use at which a session is deleted, with the memories that came from it alone. "
        "Unset: never.",
    )
    min_session_timeout_seconds: int = Field(600, ge=1, description="Smallest accepted session timeout.")
    process_interval_seconds: float = Field(1.0, gt=0, description="How often sessions that are due are looked for.")
    lease_seconds: float = Field(
        30.0, gt=0, description="How long a worker may be silent about a session before another takes it over."
    )
    max_processing_attempts: int = Field(8, ge=1, description="Failures of a session before it is set aside as failed.")

    embedding_model: str | None = Field(
        None,
        description=(
            "Unset: the bundled all-MiniLM-L6-v2, no download. Otherwise any fastembed model by name, or "
            "`litellm/<model>` for an embedding model of this gateway."
        ),
    )
    memory_model: str | None = Field(
        None,
        description="A model of the gateway that learns facts from processed sessions and searches memory for "
        "`agentic` recall. Unset: none.",
    )
    learning: bool = Field(
        True, description="Whether RECALLR_MEMORY_MODEL, where it is set, learns facts from processed sessions."
    )
    memory_budget_tokens: int | None = Field(
        None,
        ge=0,
        description="Tokens a day (UTC) and project that learning and agentic recall may use together; past it "
        "sessions wait for the next day, and `agentic` recalls like `balanced`. Unset: no bound.",
    )
    agentic_projects: list[str] | None = Field(
        None,
        description="JSON list of the projects that may use `agentic` recall: by the forward URL no LiteLLM key pays "
        "for it. Others get `balanced`. Unset: all.",
    )

    client_tags: list[str] = Field(
        [],
        description=(
            "JSON list of further tags that clients put around text of their own in user messages: what stands in them "
            "is not taken for the user's words."
        ),
    )
    context_tokens: int = Field(2000, ge=100, description="Most tokens that the memory block may take.")
    context_tokens_later: int = Field(
        500,
        ge=100,
        description="Most tokens of a block of recalled memory in a request that holds blocks of earlier turns.",
    )
    context_tokens_total: int | None = Field(
        None,
        ge=100,
        description="Most tokens that all memory blocks of a request may take. Unset: four times "
        "RECALLR_CONTEXT_TOKENS.",
    )
    profile_tokens: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Tokens of the profile that is always shown: what is known of a user's home, family, health, goals "
        "and the like, within RECALLR_CONTEXT_TOKENS. 0: none.",
    )
    inject: InjectInto = Field(
        InjectInto.USER, description="`user`: in the last user message; `system`: in the system message."
    )

    deadline_ms_low_latency: int = Field(1000, ge=1, description="Longest time added to a request, low_latency.")
    deadline_ms_balanced: int = Field(3000, ge=1, description="Longest time added to a request, balanced.")
    deadline_ms_agentic: int = Field(20000, ge=1, description="Longest time added to a request, agentic.")

    store_timeout_ms: int = Field(
        1000,
        ge=1,
        description=(
            "Timeout of one answer of Redis. A store that needs three times as long to answer a probe counts as "
            "unreachable."
        ),
    )
    held_exchanges: int = Field(
        1000,
        ge=0,
        description="Exchanges kept in this process while Redis is unreachable; past it the oldest is dropped, counted "
        "and logged.",
    )
    drain_seconds: float = Field(
        10.0, ge=0, description="Longest time a shutdown waits for what is still to be stored."
    )

    log_users: LogUsers = Field(
        LogUsers.HASHED,
        description=(
            "How the log line of a request names its user: `hashed` (the first 12 characters of the SHA-256 of its "
            "id), `plain` or `off`."
        ),
    )

    explain_hours: float = Field(
        24.0,
        ge=0,
        le=24 * 366,
        description="How long it is kept what a request was given and why, for `recallr explain`: of the last 1,000 "
        "requests of a project. 0: not at all.",
    )
    explain_mb: int = Field(16, ge=1, description="Most megabytes that this takes in Redis for one project.")

    console: bool = Field(
        True,
        description="Whether `/recallr/console` shows what is remembered, to whoever has a project's key or LiteLLM's "
        "master key.",
    )

    forward_upstreams: list[str] = Field(
        ["https://api.openai.com", "https://api.anthropic.com", "https://generativelanguage.googleapis.com"],
        description="JSON list of base URLs that the forward URL may reach. Empty: none.",
    )

    webhook_url: str | None = Field(
        None,
        description="URL that is told of sessions that became memory and of users that were forgotten: https, or http "
        "on this machine.",
    )
    webhook_secret: SecretStr | None = Field(
        None, description="What webhooks are signed with: `whsec_` and 24 to 64 random bytes in base64."
    )

    @field_validator("qdrant_url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://embedded")
        try:
            usable = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
        except ValueError:  # the port is no number
            usable = False
        if not usable:
            raise ValueError("must be like http://qdrant:6333 or https://host:port")
        return url

    @field_validator("forward_upstreams")
    @classmethod
    def _can_be_matched(cls, urls: list[str]) -> list[str]:
        Upstreams(urls)
        return urls

    @field_validator("webhook_url")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        return None if url is None else https_or_loopback(url)

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            webhook_key(secret.get_secret_value())
        return secret

    @model_validator(mode="after")
    def _webhooks_are_signed(self) -> Self:
        if (self.webhook_url is None) != (self.webhook_secret is None):
            raise ValueError("RECALLR_WEBHOOK_URL and RECALLR_WEBHOOK_SECRET need each other; set both or none")
        return self

    @property
    def most_context_tokens(self) -> int:
        """Most tokens of all memory blocks of a request."""
        return self.context_tokens_total or 4 * self.context_tokens

    @property
    def valkey_dir(self) -> Path:
        """Folder of the embedded Valkey."""
        return self.data_dir / VALKEY_FOLDER

    @property
    def models_dir(self) -> Path:
        """Folder of the models that are downloaded."""
        return self.data_dir / "models"

    @property
    def qdrant_dir(self) -> Path:
        """Folder of the embedded Qdrant."""
        return self.data_dir / "qdrant"

    def deadline_seconds(self, strategy: Strategy) -> float:
        """Longest time, in seconds, that the plugin may add to a request of this strategy."""
        milliseconds = {
            Strategy.LOW_LATENCY: self.deadline_ms_low_latency,
            Strategy.AGENTIC: self.deadline_ms_agentic,
        }.get(strategy, self.deadline_ms_balanced)
        return milliseconds / 1000


_ADVICE = "Correct them: config/README.md describes every setting"


def webhook_key(secret: str) -> bytes:
    """The key in a secret of Standard Webhooks.

    Raises:
        ValueError: it is none.
    """
    try:
        key = b64decode(secret.strip().removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not secret.strip().startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "has to be whsec_ and 24 to 64 bytes in base64, as from: echo whsec_$(openssl rand -base64 32)"
        )
    return key


def load_settings() -> Settings:
    """The settings of this process. Raises ConfigurationError as `load` does."""
    return load(Settings)


def load(kind: type[_Settings]) -> _Settings:
    """Settings of this kind.

    Raises:
        ConfigurationError: a value is wrong; the message names each variable, never its value.
    """
    prefix = kind.model_config.get("env_prefix", "")
    try:
        return kind()
    except ValidationError as error:
        problems = "; ".join(
            f"{_place(problem['loc'], prefix)}{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        )
    except SettingsError as error:  # not JSON where JSON is expected
        field = re.search(r'field "(\w+)"', str(error))
        problems = f"{prefix}{field[1].upper() if field else '…'}: is not JSON"
    raise ConfigurationError(f"Wrong settings: {problems}. {_ADVICE}")


def _place(path: tuple[int | str, ...], prefix: str) -> str:
    if not path:
        return ""
    # Where names and keys of projects are the wrong way round, the path holds a key.
    rest = "".join(f"[{part}]" for part in path[1:] if not str(part).startswith("rai_") and part != "[key]")
    return f"{prefix}{str(path[0]).upper()}{rest}: "


def unknown_names(kind: type[EnvironmentSettings], *others: str) -> list[str]:
    """What is set, in the environment or in `.env`, with the prefix of these settings but is none of them.

    Args:
        others: variables with this prefix that are no settings of the plugin.

    Returns:
        One text a variable, with the name that was probably meant.
    """
    prefix = kind.model_config.get("env_prefix", "")
    known = {f"{prefix}{field.upper()}" for field in kind.model_fields} | set(others)
    found = {name.upper() for name in {**os.environ, **dotenv_values(".env")} if name.upper().startswith(prefix)}
    return [
        f"{name} is not a setting"
        + "".join(f"; did you mean {near}?" for near in get_close_matches(name, known, n=1, cutoff=0.85))
        for name in sorted(found - known)
        if not _OF_KUBERNETES.search(name)
    ]


_OF_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT|PORT)(_.+)?$")
"""Kubernetes sets such variables in every container, for a service whose name begins like our settings."""
