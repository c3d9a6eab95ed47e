"""A project bound to a LiteLLM key or team: `{"recallr": {"project_id": …}}` in its metadata.

Clients of such a key have memory without any `X-Recallr-*` header. What LiteLLM hands on of a key:
https://docs.litellm.ai/docs/proxy/virtual_keys
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from recallr_litellm.header_values import Boolean, describe
from recallr_litellm.logs import Once
from recallr_litellm.metrics import FAULTS
from recallr_litellm.request_headers import read_defaults
from recallr_litellm.settings import BoundBy

_log = logging.getLogger(__name__)

_METADATA_OF = {BoundBy.KEY: "metadata", BoundBy.TEAM: "team_metadata"}
"""Attributes of LiteLLM's `UserAPIKeyAuth`."""

METADATA = "recallr"
"""The field of a key's or a team's metadata."""


class Binding(BaseModel):
    """What a key's or a team's metadata says of memory."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project_id: Annotated[str, Field(min_length=1)]
    """The LiteLLM key is the authentication for this project: no Recallr key is needed."""
    user_from: Literal["user", "header"] = "user"
    """Where the user's id may stand: in the body too, or in `X-Recallr-User-Id` only."""
    enabled: Boolean = True
    """False: requests pass through without memory, status `off`."""
    defaults: Mapping[str, str] = Field(default_factory=dict)
    """Field of `RecallrHeaders` → its value where the client sends no such header. Written under either name."""

    @field_validator("defaults", mode="before")
    @classmethod
    def _like_headers(cls, value: Any, info: ValidationInfo) -> dict[str, str]:
        minimum = (info.context or {}).get("min_session_timeout_seconds", 0)
        return read_defaults(value, min_session_timeout_seconds=minimum)


_UNUSABLE = Binding(project_id="(none)", enabled=False)
"""Stands for metadata that cannot be read: a fault of the administrator's must not fail the requests of clients."""


class Bindings:
    """Reads bindings, and tells the log of those that are wrong: once a key.

    Args:
        min_session_timeout_seconds: the rule for `X-Recallr-Session-Timeout-Seconds`.
        holders: whose metadata counts.
    """

    def __init__(self, *, min_session_timeout_seconds: int, holders: Collection[BoundBy] = tuple(BoundBy)) -> None:
        self._context = {"min_session_timeout_seconds": min_session_timeout_seconds}
        self._holders = tuple(holder for holder in BoundBy if holder in holders)
        self._told = Once()

    def of(self, key: Any) -> Binding | None:
        """The binding of a LiteLLM key, else that of its team; None when neither has one.

        Args:
            key: LiteLLM's `UserAPIKeyAuth`. A key's binding replaces its team's as a whole.
        """
        for holder in self._holders:
            metadata = _field(key, _METADATA_OF[holder])
            written = metadata.get(METADATA) if isinstance(metadata, dict) else None
            if written is not None:
                return self._read(written, holder, key)
        return None

    def _read(self, written: Any, holder: str, key: Any) -> Binding:
        try:
            return Binding.model_validate(written, context=self._context)
        except ValidationError as error:
            FAULTS.labels("binding").inc()
            self._tell("; ".join(_problems(error)), holder, key)
            return _UNUSABLE

    def _tell(self, problems: str, holder: str, key: Any) -> None:
        digest = hashlib.sha256(repr((_field(key, "api_key"), problems)).encode("utf-8", "replace")).hexdigest()
        if self._told.first(digest):
            _log.warning(
                "Metadata %r of a LiteLLM %s is wrong, its requests go on without memory (key alias %r, team %r): %s",
                METADATA,
                holder,
                _field(key, "key_alias"),
                _field(key, "team_id"),
                problems,
            )


def _field(key: Any, name: str) -> Any:
    return getattr(key, name, None)


def _problems(error: ValidationError) -> list[str]:
    """The fields at fault and what is wrong with them; never their values."""
    found = error.errors(include_input=False, include_url=False)
    return [f"{'.'.join(map(str, one['loc'])) or METADATA}: {describe(one['msg'])}" for one in found]
