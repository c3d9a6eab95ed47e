"""Settings of Reconify: environment or `.env`, prefix `RECONIFY_`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from recallr_litellm.delivery.records import Limits
from recallr_litellm.settings import EnvironmentSettings, Settings, load, unknown_names
from recallr_litellm.upstream_urls import https_or_loopback

_REQUIRED = ("app_key", "api_key", "endpoint")


class ReconifySettings(EnvironmentSettings):
    """Where finished interactions are reported, and how. Off unless the first three are set.

    >>> ReconifySettings().enabled
    False
    """

    model_config = SettingsConfigDict(env_prefix="RECONIFY_")

    app_key: SecretStr | None = Field(None, description="APP key of the application in Reconify's console.")
    api_key: SecretStr | None = Field(None, description="API key of the application in Reconify's console.")
    endpoint: str | None = Field(
        None, description="URL that payloads are posted to: https, or http on this machine. Reconify gives it to you."
    )
    request: Literal["provider", "client"] = Field(
        "provider", description="`provider`: the request as the provider got it; `client`: as the client wrote it."
    )
    scope: Literal["recallr", "all"] = Field(
        "recallr", description="`recallr`: requests with Recallr headers; `all`: every request of the gateway."
    )
    redact: str | None = Field(
        None,
        description=(
            "What is taken out of texts before they are queued: `module:callable`, or a JSON list of regular "
            "expressions."
        ),
    )
    keep_files: bool = Field(
        False,
        description="Whether pictures, audio and files are sent with their bytes. False: a mark with type and size.",
    )
    max_queued: int = Field(
        100_000,
        ge=16,
        description=(
            "Most payloads that wait in Redis, and most dead letters. Past it a new payload is refused and the oldest "
            "dead letter deleted, both counted. Kept in 16 equal parts, into which sessions fall by chance."
        ),
    )
    max_queued_mb: int = Field(
        512,
        ge=16,
        description=(
            "The same in megabytes of JSON, in 16 equal parts, too. Never more than an eighth of Redis' `maxmemory`."
        ),
    )
    max_attempts: int = Field(
        20,
        ge=1,
        description="Failures of one payload, while others are accepted, before it is a dead letter.",
    )
    timeout_seconds: float = Field(10.0, gt=0, description="Timeout of an answer of the endpoint.")
    max_pause_seconds: float = Field(
        60.0, gt=0, description="Longest pause between two attempts, where the endpoint does not ask for a longer one."
    )

    @property
    def enabled(self) -> bool:
        """Whether anything is reported."""
        return all(getattr(self, name) is not None for name in _REQUIRED)

    @property
    def limits(self) -> Limits:
        """What bounds the outbox and its sending."""
        return Limits(
            max_queued=self.max_queued,
            max_queued_mb=self.max_queued_mb,
            max_attempts=self.max_attempts,
            timeout_seconds=self.timeout_seconds,
            max_pause_seconds=self.max_pause_seconds,
        )

    @field_validator("endpoint")
    @classmethod
    def _safe(cls, endpoint: str | None) -> str | None:
        if endpoint is None:
            return None
        return https_or_loopback(endpoint)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        missing = [name for name in _REQUIRED if getattr(self, name) is None]
        if missing and len(missing) < len(_REQUIRED):
            names = ", ".join(f"RECONIFY_{name.upper()}" for name in missing)
            raise ValueError(f"Reconify needs {names} too; set all three or none")
        return self


def load_reconify_settings() -> ReconifySettings:
    """The settings of this process. Raises ConfigurationError as `settings.load` does."""
    return load(ReconifySettings)


def misspelt_settings() -> list[str]:
    """Variables named like a setting of the plugin that are none, in the environment or in `.env`: see `unknown_names`.

    They are harmless, but whoever set one meant another.
    """
    return unknown_names(Settings, *_OF_COMMANDS) + unknown_names(ReconifySettings)


_OF_COMMANDS = (
    "RECALLR_API_KEY",
    "RECALLR_PROJECT_ID",
    "RECALLR_USER_ID",
    "RECALLR_GATEWAY",
    "RECALLR_URL",
    "RECALLR_DEMO_RECORD",
)
"""Variables of the `recallr` command and of the examples."""
