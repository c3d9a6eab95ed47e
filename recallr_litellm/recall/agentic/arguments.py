"""What each tool takes, as the model is told and as its calls are checked."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema


def _missing(value: Any) -> Any:
    """Models write "" for what they leave out."""
    return None if isinstance(value, str) and not value.strip() else value


def _listed(value: Any) -> Any:
    """They also write one thing for a list of it."""
    return [value] if isinstance(value, str) else [] if value is None else value


Ids = Annotated[list[str], BeforeValidator(_listed)]
Day = Annotated[date, Field(description="A day in the user's timezone, YYYY-MM-DD.")]
OptionalDay = Annotated[Day | SkipJsonSchema[None], BeforeValidator(_missing)]
Since = Annotated[OptionalDay, Field(alias="from", description="Only from this day on, YYYY-MM-DD.")]
Until = Annotated[OptionalDay, Field(alias="to", description="Only up to this day, YYYY-MM-DD.")]


class _Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, populate_by_name=True)


class SearchMemories(_Arguments):
    """Search what was said in earlier conversations, and the facts known from them, by meaning and by words. Returns \
passages (m1, m2, …) and facts (f1, f2, …), best first."""

    query: str = Field(min_length=1, max_length=2000, description="What to look for; the words that would stand there.")
    k: int = Field(10, ge=1, le=30, description="How many of both together.")
    since: Since = None
    until: Until = None


class SearchSummaries(_Arguments):
    """Search the summaries of earlier conversations: which ones were about something."""

    query: str = Field(min_length=1, max_length=2000, description="What the conversation was about.")
    since: Since = None
    until: Until = None


class ReadSession(_Arguments):
    """Read an earlier conversation, from its beginning or around one of its messages."""

    session_id: str = Field(description="A session_id that a tool has returned.")
    around: str | SkipJsonSchema[None] = Field(None, description="The id of a message of it: reads around that one.")


class FollowConnections(_Arguments):
    """List the facts that a fact hangs together with."""

    id: str = Field(description="The id of a fact (f1, f2, …) that a tool has returned.")


class ListByDate(_Arguments):
    """List the conversations of a time, oldest first, with their summaries."""

    since: Day = Field(alias="from", description="First day, YYYY-MM-DD.")
    until: Day = Field(alias="to", description="Last day, YYYY-MM-DD.")


class Reported(_Arguments):
    """Something found."""

    text: str = Field(description="One fact in one sentence, with names and absolute dates.")
    memory_ids: Ids = Field([], description="Ids of the passages (m1, m2, …) and facts (f1, f2, …) that say so.")
    session_ids: Ids = Field([], description="session_ids (s1, s2, …) whose summary says so.")


class ReportFindings(_Arguments):
    """Report what was found, each finding with the ids it rests on. Ends the search, unless `complete` is false."""

    findings: list[Reported] = Field(description="Empty when nothing remembered bears on the question.")
    complete: bool = Field(True, description="false: found so far; the search goes on.")


SEARCH_MEMORIES, SEARCH_SUMMARIES = "search_memories", "search_summaries"
READ_SESSION, FOLLOW_CONNECTIONS, LIST_BY_DATE = "read_session", "follow_connections", "list_by_date"
REPORT_FINDINGS = "report_findings"


def _definition(name: str, arguments: type[_Arguments]) -> dict[str, Any]:
    schema = _plain(arguments.model_json_schema())
    description = schema.pop("description")
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _plain(schema: Any) -> Any:
    """Without what a model need not read, and some providers do not take: titles, formats, defaults of null."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {key for key in ("title", "format") if isinstance(schema.get(key), str)}
    dropped |= {"default"} if schema.get("default", "") is None else set()
    return {key: _plain(value) for key, value in schema.items() if key not in dropped}


REPORT = _definition(REPORT_FINDINGS, ReportFindings)
TOOLS = (
    _definition(SEARCH_MEMORIES, SearchMemories),
    _definition(SEARCH_SUMMARIES, SearchSummaries),
    _definition(READ_SESSION, ReadSession),
    _definition(FOLLOW_CONNECTIONS, FollowConnections),
    _definition(LIST_BY_DATE, ListByDate),
    REPORT,
)
"""As `tools` of a chat completion."""
