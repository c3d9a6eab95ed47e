"""The tools: their arguments, their results, what they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, model_validator

from recallr_litellm.core.owner import Owner
from recallr_litellm.recall.by_strategy import Question
from recallr_litellm.request_headers import RecallrHeaders
from recallr_litellm.services import Services
from recallr_litellm.services.search import FoundKind


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls a tool."""

    owner: Owner
    headers: RecallrHeaders

    def moment(self, milliseconds: int) -> datetime:
        """A time of the stores, in the timezone of the user."""
        return datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(self.headers.timezone)


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool."""

    title: str
    description: str
    annotations: ToolAnnotations
    arguments: type[BaseModel]
    result: type[BaseModel]
    call: Callable[[Services, Caller, Any], Awaitable[BaseModel]]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SearchArguments(_Arguments):
    """Of `search_memory`."""

    query: str = Field(min_length=1, max_length=10_000, description="What to look for, in plain words.")
    limit: int = Field(10, ge=1, le=50, description="How many results at most.")


class SearchResult(BaseModel):
    """Something that is remembered."""

    kind: FoundKind
    text: str
    said_by: str | None = Field(description="user or assistant, of a message.")
    said_at: datetime
    relevance: float = Field(description="0 to 1.")
    memory_id: str | None
    session_id: str


class SearchResults(BaseModel):
    """What was found, best first."""

    results: list[SearchResult]


async def search(services: Services, caller: Caller, asked: SearchArguments) -> SearchResults:
    """`search_memory`."""
    found = await services.search(caller.owner, asked.query, caller.headers.recall_options, limit=asked.limit)
    return SearchResults(
        results=[
            SearchResult(
                kind=one.kind,
                text=one.text,
                said_by=one.role,
                said_at=caller.moment(one.at),
                relevance=round(one.relevance, 3),
                memory_id=one.memory,
                session_id=one.session,
            )
            for one in found
        ]
    )


class ContextArguments(_Arguments):
    """Of `get_context`."""

    question: str = Field(min_length=1, max_length=10_000, description="The person's own words, as they were said.")


class ContextFound(BaseModel):
    """What a chat that asks this would be told."""

    context: str = Field(description="Empty where nothing is remembered that matters.")
    memory_ids: list[str]
    session_ids: list[str]
    incomplete: str | None = Field(description="Why it does not hold all that there is; null where it does.")


async def context(services: Services, caller: Caller, asked: ContextArguments) -> ContextFound:
    """`get_context`. The instructions of a chat are left out: the server has its own."""
    options = replace(caller.headers.recall_options, include_system_prompt=False)
    found = await services.context.context(caller.owner, _NO_SESSION, Question(asked.question), options)
    return ContextFound(
        context=found.text,
        memory_ids=list(found.memory_ids),
        session_ids=list(found.session_ids),
        incomplete=found.fault,
    )


_NO_SESSION = ""
"""The question is asked outside of any."""


class AddArguments(_Arguments):
    """Of `add_memory`."""

    text: str = Field(
        min_length=1, max_length=50_000, description="What to remember, so that it can be understood by itself."
    )


class Added(BaseModel):
    """Something that will be remembered."""

    session_id: str = Field(description="It can be found within seconds, as part of this session.")


async def add(services: Services, caller: Caller, asked: AddArguments) -> Added:
    """`add_memory`: a session of its own, of one message, which is over at once."""
    session = await services.sessions.create(
        caller.owner, timeout_seconds=services.sessions.min_timeout_seconds, metadata={"source": "mcp"}
    )
    await services.sessions.add_message(caller.owner, session.id, "user", asked.text)
    await services.sessions.process(caller.owner, session.id)
    return Added(session_id=session.id)


class Listed(StrEnum):
    """What is listed."""

    FACTS = "facts"
    CONVERSATIONS = "conversations"


class ListArguments(_Arguments):
    """Of `list_memories`."""

    kind: Listed = Field(Listed.FACTS, description="Facts, or whole conversations with their summaries.")
    offset: int = Field(0, ge=0, le=1_000_000)
    limit: int = Field(20, ge=1, le=100)


class ListedItem(BaseModel):
    """A fact, or a conversation."""

    memory_id: str | None = Field(description="Of a fact.")
    session_id: str
    text: str = Field(description="The fact, or the summary: empty until the conversation is over and was summarised.")
    at: datetime = Field(description="When it was told, or began.")


class ListedItems(BaseModel):
    """Some of what is remembered, newest first."""

    items: list[ListedItem]
    total: int
    has_more: bool


async def list_memories(services: Services, caller: Caller, asked: ListArguments) -> ListedItems:
    """`list_memories`."""
    if asked.kind is Listed.FACTS:
        facts, total = await services.memories.page(caller.owner, offset=asked.offset, limit=asked.limit)
        items = [
            ListedItem(memory_id=one.id, session_id=one.session, text=one.content, at=caller.moment(one.created_at))
            for one in (details.memory for details in facts)
        ]
    else:
        sessions, total = await services.sessions.page(caller.owner, offset=asked.offset, limit=asked.limit)
        items = [
            ListedItem(memory_id=None, session_id=one.id, text=one.summary, at=caller.moment(one.created_at))
            for one in sessions
        ]
    return ListedItems(items=items, total=total, has_more=asked.offset + len(items) < total)


class DeleteArguments(_Arguments):
    """Of `delete_memory`."""

    memory_id: str | None = Field(None, min_length=1, max_length=128, description="Of a fact to forget.")
    session_id: str | None = Field(None, min_length=1, max_length=128, description="Of a conversation to forget.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.memory_id is None) == (self.session_id is None):
            raise ValueError("give either memory_id or session_id")
        return self


class Deleted(BaseModel):
    """What is gone for good."""

    messages: int
    facts: int = Field(description="Those that came from the conversation alone; of a fact, its versions.")


async def delete(services: Services, caller: Caller, asked: DeleteArguments) -> Deleted:
    """`delete_memory`."""
    if asked.memory_id is not None:
        versions = (await services.memories.get(caller.owner, asked.memory_id)).total
        await services.memories.delete(caller.owner, asked.memory_id, previous=True)
        return Deleted(messages=0, facts=versions)
    assert asked.session_id is not None
    await services.sessions.get(caller.owner, asked.session_id)
    gone = await services.forgetting.forget_session(caller.owner, asked.session_id)
    return Deleted(messages=gone.messages, facts=gone.memories)


TOOLS: Mapping[str, McpTool] = {
    "search_memory": McpTool(
        "Search memory",
        "Search what is remembered of this person from earlier conversations: facts, what was said, summaries.",
        ToolAnnotations(read_only_hint=True, open_world_hint=False),
        SearchArguments,
        SearchResults,
        search,
    ),
    "get_context": McpTool(
        "Context for a question",
        "All that matters for a question of this person, as one text within a few thousand tokens, ready to be read "
        "before answering. Use it rather than several searches.",
        ToolAnnotations(read_only_hint=True, open_world_hint=False),
        ContextArguments,
        ContextFound,
        context,
    ),
    "add_memory": McpTool(
        "Add to memory",
        "Remember something that this person said or wants to be remembered. It can be found within seconds.",
        ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False),
        AddArguments,
        Added,
        add,
    ),
    "list_memories": McpTool(
        "List memory",
        "List what is remembered of this person, newest first: facts, or conversations with their summaries. To find "
        "something, search instead.",
        ToolAnnotations(read_only_hint=True, open_world_hint=False),
        ListArguments,
        ListedItems,
        list_memories,
    ),
    "delete_memory": McpTool(
        "Delete from memory",
        "Forget a fact with all its versions, or a conversation with the facts that came from it alone. It cannot be "
        "undone: ask the person first.",
        ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False),
        DeleteArguments,
        Deleted,
        delete,
    ),
}
"""Name → tool."""
