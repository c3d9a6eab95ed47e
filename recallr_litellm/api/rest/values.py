"""Values that many routes take or give: pages, metadata, times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, Query
from pydantic import AfterValidator, JsonValue

from recallr_litellm.core.metadata import check_metadata
from recallr_litellm.errors import InvalidValue
from recallr_litellm.json_text import parsed

Offset = Annotated[int, Query(ge=0, le=1_000_000, description="How many to skip.")]
Limit = Annotated[int, Query(ge=1, le=200, description="How many to return at most.")]


Metadata = Annotated[dict[str, JsonValue], AfterValidator(check_metadata)]
"""What an application notes about a user or a session."""
_JsonObject = Annotated[
    str | None,
    Query(description="A JSON object: only what has these values in its metadata.", examples=['{"plan": "pro"}']),
]


def _metadata_filter(metadata_filter: _JsonObject = None) -> dict[str, JsonValue] | None:
    return _object("metadata_filter", metadata_filter)


def _session_metadata_filter(session_metadata_filter: _JsonObject = None) -> dict[str, JsonValue] | None:
    return _object("session_metadata_filter", session_metadata_filter)


def _object(name: str, text: str | None) -> dict[str, JsonValue] | None:
    if text is None:
        return None
    try:
        found = parsed(text)
        if isinstance(found, dict):
            return check_metadata(found)
    except (ValueError, RecursionError):
        pass
    raise InvalidValue(f"{name}: must be a JSON object")


MetadataFilter = Annotated[dict[str, JsonValue] | None, Depends(_metadata_filter)]
SessionMetadataFilter = Annotated[dict[str, JsonValue] | None, Depends(_session_metadata_filter)]


def _check_key(key: str | None) -> str | None:
    if key is not None and not 1 <= len(key) <= 256:
        raise ValueError("must have 1 to 256 characters")
    return key


IdempotencyKey = Annotated[
    str | None,
    Header(description="The same request with the same key, sent again within a day, is done once."),
    AfterValidator(_check_key),
]


def as_text(text: str) -> str:
    """A text that JSON can hold: half of a surrogate pair, which a chat may have brought, is none."""
    return text.encode(errors="replace").decode()


def moment(milliseconds: int) -> datetime:
    """A time of the stores: ISO 8601, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(moment: datetime) -> int:
    """A time as the stores have it."""
    return round(moment.timestamp() * 1000)
