"""A user's whole memory as one JSON document, to be kept, read by other programs and taken back.

    {"format": "recallr-user", "version": 1,
     "user": {"id": "alice", "created_at": "2026-11-30T20:00:00.000Z", "metadata": {}},
     "memories": [{"id": "…", "content": "…", "session": "3f2a…", "sources": ["9c1b…"], "created_at": …, …}],
     "conflicts": [],
     "extractions": [{"session": "3f2a…", "messages": ["9c1b…"], "facts": [{"text": "…", …}], "reconciled": true, …}],
     "sessions": [
       {"id": "3f2a…", "created_at": …, "last_at": …, "timeout_seconds": 600, "status": "processed", "metadata": {},
        "summary": "…", "messages": [{"id": "9c1b…", "role": "user", "text": "…", "at": "…"}, …]}]}

Memories, and what was extracted, stand before the sessions that they came from, so that a gateway that learns from
these knows them by then, and has no model extract them once more.

Times are ISO 8601 in UTC. What is not said of an item, as nobody's name, is left out. Whoever reads ignores fields that
it does not know; a change that older programs would misread raises the version. Embeddings are not part of it: they are
made anew.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationError,
)

from recallr_litellm.core.facts import Extraction, Fact
from recallr_litellm.core.knowledge import Conflict
from recallr_litellm.core.messages import Role, ToolCall
from recallr_litellm.core.metadata import check_metadata
from recallr_litellm.core.records import Memory
from recallr_litellm.errors import InvalidImport
from recallr_litellm.request_headers import MAX_SESSION_TIMEOUT

FORMAT: Final = "recallr-user"
LISTS: Final = frozenset({"sessions", "memories", "conflicts", "extractions"})
VERSION: Final = 1
_MILLISECONDS_FROM: Final = 100_000_000_000
"""A number from here on is in milliseconds (since 1973), and one below in seconds (until the year 5138)."""
_LAST: Final = 253_402_300_799_999
"""The end of the year 9999, ms."""

ID: Final = re.compile("[0-9a-f]{32}")
"""Ids of sessions and messages of ours."""

Kind = TypeVar("Kind", bound=BaseModel)


def milliseconds(value: Any) -> int:
    """A moment as milliseconds since the epoch.

    Args:
        value: ISO 8601, in UTC where it names no zone; or a number of seconds or milliseconds since the epoch.

    Raises:
        ValueError: it is none, or before 1970.
    """
    at: float
    if isinstance(value, str):
        moment = datetime.fromisoformat(value.strip())
        at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a time: ISO 8601, or seconds or milliseconds since 1970")  # noqa: TRY004 - pydantic refuses a value by it
    else:
        at = value * 1000 if value < _MILLISECONDS_FROM else value
    if not 0 <= at <= _LAST:
        raise ValueError("must be a time between 1970 and 9999")
    return round(at)


def iso(at: int) -> str:
    """A moment, ms since the epoch, as the document has it."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    int,
    BeforeValidator(milliseconds),
    PlainSerializer(iso, return_type=str),
]
"""Milliseconds since the epoch here, ISO 8601 in the document."""

_Metadata = Annotated[dict[str, JsonValue], AfterValidator(check_metadata)]
_Id = Annotated[str, Field(min_length=1, max_length=256)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class UserItem(_Part):
    """The user."""

    id: str
    created_at: Moment | None = None
    metadata: _Metadata = Field(default_factory=dict)


class MessageItem(_Part):
    """A message. Its place in the list is its order."""

    id: _Id | None = None
    """Unique in its session; made from the content where there is none."""
    role: Role
    name: str = ""
    text: str = ""
    at: Moment | None = None
    """When it was said; a second after the one before where that is not known."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    attachments: tuple[str, ...] = ()
    """Types of what was not text."""
    partial: bool = False
    """An answer of which the client saw only this beginning."""
    parent: str | None = None
    """Id of the message that the client's history showed before this one; that before it where it is not said."""
    exchange: str | None = None
    """Names the request that brought it."""


class SessionItem(_Part):
    """A session with its messages."""

    id: _Id | None = None
    """Made from the content where there is none."""
    created_at: Moment | None = None
    last_at: Moment | None = None
    timeout_seconds: int | None = Field(None, ge=1, le=MAX_SESSION_TIMEOUT)
    status: Literal["processed", "open"] | None = None
    """As it was when it was exported; it is processed again when it is imported."""
    metadata: _Metadata = Field(default_factory=dict)
    summary: str = ""
    """As it was when it was exported; it is made anew when it is imported."""
    messages: tuple[MessageItem, ...] = ()


class MemoryItem(Memory):
    """A memory."""

    content: str = Field(min_length=1, max_length=10_000)
    created_at: Moment
    event_start: Moment | None = None
    event_end: Moment | None = None
    expired_at: Moment | None = None
    confidence: float = Field(1.0, ge=0, le=1)


class ConflictItem(Conflict):
    """A new fact that contradicts a memory."""

    created_at: Moment
    resolved_at: Moment | None = None


class FactItem(Fact):
    """What a window of a session says."""

    text: str = Field(min_length=1, max_length=10_000)
    start: Moment | None = None
    end: Moment | None = None
    said_at: Moment


class ExtractionItem(Extraction):
    """What a model extracted from a window of a session, and what was decided of it."""

    session: str = Field(pattern="^[0-9a-f]{32}$")
    window: str = Field(pattern="^[0-9a-f]{32}$")
    messages: tuple[_Id, ...]
    facts: tuple[FactItem, ...] = ()

    @classmethod
    def of(cls, extraction: Extraction) -> ExtractionItem:
        """As the document has it."""
        facts = tuple(FactItem.model_construct(**dict(fact)) for fact in extraction.facts)
        return cls.model_construct(**{**dict(extraction), "facts": facts})

    @property
    def extraction(self) -> Extraction:
        """As it is kept."""
        facts = tuple(Fact.model_construct(**dict(fact)) for fact in self.facts)
        return Extraction.model_construct(**{**dict(self), "facts": facts})


def read_item(kind: type[Kind], value: Any, place: str) -> Kind:
    """A part of a document.

    Args:
        place: where it is, for the error.

    Raises:
        InvalidImport: it is none; the message names each wrong field.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)[:5]
        )
        raise InvalidImport(f"{place}: {problems}") from None


def written_item(item: BaseModel) -> dict[str, Any]:
    """A part as the document has it."""
    return item.model_dump(exclude_defaults=True)


def require_format(found: Mapping[str, Any]) -> None:
    """Return if this version reads documents whose first fields are these.

    Raises:
        InvalidImport: it does not.
    """
    if found.get("format") != FORMAT:
        raise InvalidImport(f'format: must be "{FORMAT}" and stand first; this is no export of a user')
    version = found.get("version")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise InvalidImport(
            f"version: this gateway reads version {VERSION}, and this document says {str(version)[:20]}: take a "
            "gateway that is not older than the one that wrote it"
        )


def id_of(item: SessionItem) -> str:
    """Its id if it is one of ours; else one made from that, or from what was said."""
    if item.id is not None and ID.fullmatch(item.id):
        return item.id
    if item.id is not None:
        return digest("session", item.id)
    return digest("session", item.created_at, *((one.role, one.name, one.text, one.at) for one in item.messages))


def digest(*content: object) -> str:
    """An id made from this."""
    text = json.dumps(content, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
