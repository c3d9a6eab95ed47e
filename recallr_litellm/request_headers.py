"""`X-Recallr-*` request headers → what the request asks for, validated, all faults at once.

Each header is one field of `RecallrHeaders`; its annotation is its rule.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.placeholders import is_placeholder
from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.header_values import Boolean, Pairs, check_text, describe, say, take
from recallr_litellm.logs import Once

_log = logging.getLogger(__name__)

_UNKNOWN = Once()

PREFIX = "x-recallr-"


class Switch(StrEnum):
    """Whether memory takes part in a request (`X-Recallr-Memory`)."""

    ON = "on"
    OFF = "off"


def _switch(value: Any) -> Any:
    try:
        return Switch(str(value).lower())
    except ValueError:
        raise say("must be on or off") from None


def _strategy(value: Any) -> Any:
    name = str(value).lower()
    try:
        return Strategy("agentic" if name == "deep" else name)
    except ValueError:
        raise say(f"must be one of {', '.join(Strategy)}") from None


def _timezone(value: Any) -> Any:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (KeyError, OSError, ValueError):  # which of them depends on what is wrong with the name
        raise say('must be an IANA time zone such as "Europe/London"') from None


def check_user_id(value: str) -> str:
    """The rule for user ids, in the header and in the body alike. Raises ValueError."""
    return check_text(value, not_utf8="must be UTF-8; send other ids as `user` in the body")


def _conversation_id(value: str) -> str | None:
    # Clients that fill the header in from a template send it empty where there is no chat yet.
    if is_placeholder(value) and value:
        raise ValueError("must be filled in: a placeholder would make one chat of many")
    return check_text(value) if value else None


TopK = Annotated[int, Field(ge=0, le=200)]
Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
UserId = Annotated[str, AfterValidator(check_user_id)]
SessionId = Annotated[str, Field(min_length=1, max_length=128)]


class RecallrHeaders(BaseModel):
    """The headers of one request. A field `min_top_k` is the header `X-Recallr-Min-Top-K`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True)

    api_key: SecretStr | None = None
    project_id: str | None = None
    user_id: UserId | None = None
    allow_new_user_creation: Boolean = False
    session_timeout_seconds: int | None = None
    session_id: SessionId | None = None
    conversation_id: Annotated[str | None, AfterValidator(_conversation_id)] = None
    recall_strategy: Annotated[Strategy, BeforeValidator(_strategy)] = Strategy.BALANCED
    min_top_k: TopK = 10
    max_top_k: Annotated[TopK, Field(validate_default=True)] = 50
    memories_threshold: Threshold = 0.7
    summaries_threshold: Threshold = 0.6
    last_n_user_messages: Annotated[int, Field(ge=1, le=100)] | None = None
    last_n_summaries: Annotated[int, Field(ge=1, le=20)] | None = None
    timezone: Annotated[ZoneInfo, BeforeValidator(_timezone)] = Field(default_factory=lambda: ZoneInfo("UTC"))
    include_system_prompt: Boolean = True
    memory: Annotated[Switch, BeforeValidator(_switch)] = Switch.ON

    @field_validator("session_timeout_seconds")
    @classmethod
    def _not_below_minimum(cls, value: int | None, info: ValidationInfo) -> int | None:
        minimum = (info.context or {}).get("min_session_timeout_seconds", 0)
        if value is not None and not minimum <= value <= MAX_SESSION_TIMEOUT:
            raise say(f"must be a whole number of seconds from {minimum} to {MAX_SESSION_TIMEOUT}")
        return value

    @field_validator("max_top_k")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        # Here and not over the whole model, so that it is found beside faults of other headers.
        minimum = info.data.get("min_top_k", 0)  # absent where it is at fault itself
        if minimum > value:
            # Only one of the two may have been sent: the other is its default.
            at_fault: Literal["min_top_k", "max_top_k"] = (
                "min_top_k" if "min_top_k" in (info.context or {}).get("sent", ()) else "max_top_k"
            )
            text = f"X-Recallr-Min-Top-K ({minimum}) must not be above X-Recallr-Max-Top-K ({value})"
            raise PydanticCustomError("header", "{text}", {"text": text, "field": at_fault})
        return value

    @property
    def recall_options(self) -> RecallOptions:
        """The part that the recall strategies read."""
        return RecallOptions(
            strategy=self.recall_strategy,
            min_top_k=self.min_top_k,
            max_top_k=self.max_top_k,
            memories_threshold=self.memories_threshold,
            summaries_threshold=self.summaries_threshold,
            last_n_user_messages=self.last_n_user_messages,
            last_n_summaries=self.last_n_summaries,
            timezone=self.timezone,
            include_system_prompt=self.include_system_prompt,
        )


MAX_SESSION_TIMEOUT = 366 * 24 * 3600

HEADER_NAMES: Mapping[str, str] = {
    field: "X-Recallr-" + field.replace("_", "-").title().replace("Api-Key", "API-Key")
    for field in RecallrHeaders.model_fields
}
"""Field → header name as documented."""

RECALL_FIELDS = tuple(
    field for field in RecallrHeaders.model_fields if field.removeprefix("recall_") in RecallOptions.__slots__
)
"""Fields of the headers that the recall strategies read."""

_OF_ONE_REQUEST = frozenset({"api_key", "project_id", "session_id", "conversation_id"})
"""Headers that can have no default."""


@dataclass(frozen=True, slots=True)
class RawHeaders:
    """The `x-recallr-*` headers of a request as they came, in lower case, taken off the request."""

    pairs: Pairs = field(repr=False)
    """The API key is among them: they must not show in a traceback."""

    @classmethod
    def take(cls, headers: Iterable[tuple[bytes, bytes]]) -> tuple[RawHeaders, list[tuple[bytes, bytes]]]:
        """Split ASGI headers into ours and the rest."""
        ours, rest = take(PREFIX, headers)
        return cls(ours), rest

    def first(self, name: str) -> str | None:
        """Value of the first header of this (lower-case) name, None when there is none."""
        return next((value for header, value in self.pairs if header == PREFIX + name), None)

    @property
    def ask_for_memory(self) -> bool:
        """Whether the client knows of us: it sent more than `X-Recallr-Memory`, which anyone may send."""
        return any(header != f"{PREFIX}memory" for header, _ in self.pairs)


def parse(
    raw: RawHeaders, *, min_session_timeout_seconds: int, defaults: Mapping[str, str] | None = None
) -> RecallrHeaders:
    """Validate the headers of a request.

    Args:
        defaults: field → value of headers that were not sent.

    Raises:
        InvalidHeaders: names every header at fault and what is right.
    """
    problems: dict[str, str] = {}
    values: dict[str, str] = {}
    for name, value in raw.pairs:
        field = name.removeprefix(PREFIX).replace("-", "_")
        if field not in RecallrHeaders.model_fields:
            if _UNKNOWN.first(name):
                _log.info("Ignoring the unknown header %.100r", name)
        elif field in values:
            problems[HEADER_NAMES[field]] = "was sent twice"
        else:
            values[field] = value
    try:
        headers = RecallrHeaders.model_validate(
            {**(defaults or {}), **values},
            context={"min_session_timeout_seconds": min_session_timeout_seconds, "sent": values.keys()},
        )
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            field = problem.get("ctx", {}).get("field", problem["loc"][0])
            problems.setdefault(HEADER_NAMES[str(field)], describe(problem["msg"]))
    if problems:
        raise InvalidHeaders(problems)
    return headers


def read_defaults(written: Any, *, min_session_timeout_seconds: int) -> dict[str, str]:
    """Defaults for headers that a request does not send, checked by the rules of the headers.

    Args:
        written: an object of header names, or names of fields of `RecallrHeaders`, and values.

    Returns:
        Field → value, as `parse` takes them.

    Raises:
        PydanticCustomError: names what is at fault; never its value.
    """
    if not isinstance(written, dict):
        raise say("must be an object of header names and values")
    defaults: dict[str, str] = {}
    for name, given in written.items():
        field = str(name).lower().removeprefix(PREFIX).replace("-", "_")
        if field not in HEADER_NAMES or field in _OF_ONE_REQUEST:
            raise say(f"{name!r} is no header that can have a default")
        if field in defaults:
            raise say(f"{HEADER_NAMES[field]} is there twice")
        if not isinstance(given, str | int | float):
            raise say(f"{HEADER_NAMES[field]} must be text, a number, true or false")
        defaults[field] = str(given)
    sent = RawHeaders(tuple((PREFIX + field.replace("_", "-"), text) for field, text in defaults.items()))
    try:
        parse(sent, min_session_timeout_seconds=min_session_timeout_seconds)
    except InvalidHeaders as error:
        raise say(error.message) from None
    return defaults
