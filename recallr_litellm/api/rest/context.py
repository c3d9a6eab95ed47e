"""Routes of what a model is told: the context of a session, and the instructions for using it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError

from recallr_litellm.api.rest.access import IdInPath, OwnerOfPath, TheServices, project_router
from recallr_litellm.api.rest.errors import detail_of, documented
from recallr_litellm.api.rest.values import as_text
from recallr_litellm.core.instructions import instructions
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.errors import InvalidValue
from recallr_litellm.header_values import describe
from recallr_litellm.request_headers import RECALL_FIELDS, RecallrHeaders
from recallr_litellm.services.context import Context, Tell

router = project_router()

StrategyName = Literal["low_latency", "balanced", "agentic", "auto", "deep"]
"""`deep` is an older name of `agentic`."""


class SystemPrompt(BaseModel):
    """The text for the system message of a model that is given the context of a session."""

    system_prompt: str


class ContextQuery(BaseModel):
    """How memory is searched for a context. What is not sent is as the project has it, else as in chats."""

    recall_strategy: StrategyName | None = None
    min_top_k: int | None = Field(None, ge=0, le=200)
    max_top_k: int | None = Field(None, ge=0, le=200)
    memories_threshold: float | None = Field(None, ge=0, le=1)
    summaries_threshold: float | None = Field(None, ge=0, le=1)
    last_n_messages: int | None = Field(None, ge=1, le=100)
    last_n_summaries: int | None = Field(None, ge=1, le=20)
    timezone: str | None = Field(None, description='An IANA name, such as "Europe/Berlin".')
    include_system_prompt: bool = True
    include_metadata_ids: bool = False
    stream: bool = Field(False, description="Answer with server-sent events that tell of the progress.")

    def options(self, defaults: Mapping[str, str]) -> RecallOptions:
        """As memory takes them.

        Raises:
            InvalidValue: the values do not go together, or there is no such time zone.
        """
        sent = self.model_dump(exclude_none=True, exclude={"stream", "include_metadata_ids"})
        if "last_n_messages" in sent:
            sent["last_n_user_messages"] = sent.pop("last_n_messages")
        known = {name: value for name, value in defaults.items() if name in RECALL_FIELDS}
        try:
            return RecallrHeaders.model_validate({**known, **sent}, context={"sent": sent.keys()}).recall_options
        except ValidationError as error:
            problems = (f"{problem['loc'][0]}: {describe(problem['msg'])}" for problem in error.errors())
            raise InvalidValue("; ".join(problems)) from None


_OPTION_OF = {"recall_strategy": "strategy", "last_n_messages": "last_n_user_messages"}
"""Names of values as `RecallOptions` has them, where those are others."""
_REQUEST_ID = "X-Recallr-Request-Id"


class DateRange(BaseModel):
    """A time that was searched in."""

    filter_type: Literal["event_date", "created_at"]
    start_date: datetime
    end_date: datetime


class ContextMetadata(BaseModel):
    """How a context came about."""

    recall_strategy_used: Strategy
    memory_ids: list[str] | None = None
    session_ids: list[str] | None = None
    agent_reasoning: str | None = None
    vector_search_queries: list[str] | None = None
    keywords: list[str] | None = None
    session_summaries_search_queries: list[str] | None = None
    date_range_filters: list[DateRange] | None = None


class ContextResponse(BaseModel):
    """The context of a session, or in a stream what is being done for it."""

    is_final: bool
    status_update_message: str | None = None
    error_message: str | None = Field(None, description="Why the context does not hold all that there is.")
    context: str | None = None
    metadata: ContextMetadata | None = None

    @classmethod
    def of(cls, found: Context, *, with_ids: bool) -> ContextResponse:
        """As the API says it."""
        queries = [as_text(found.question)] if found.question else []
        return cls(
            is_final=True,
            error_message=found.fault,
            context=as_text(found.text),
            metadata=ContextMetadata(
                recall_strategy_used=found.strategy,
                memory_ids=list(found.memory_ids) if with_ids else None,
                session_ids=list(found.session_ids) if with_ids else None,
                agent_reasoning=as_text(found.reasoning) if found.reasoning else None,
                vector_search_queries=queries,
                session_summaries_search_queries=queries,
            ),
        )


_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The context; with `stream`, an event for each thing that is done, and one with the context.",
        "content": {"text/event-stream": {"schema": {"type": "object"}}},
    }
}


@router.get("/system-prompt")
async def get_system_prompt(recall_strategy: StrategyName = "balanced") -> SystemPrompt:
    """The instructions for using the context that this strategy gives."""
    name = "agentic" if recall_strategy == "deep" else recall_strategy
    return SystemPrompt(system_prompt=instructions(Strategy(name)))


@router.get(
    "/users/{user_id}/sessions/{session_id}/context",
    response_model=ContextResponse,
    responses=documented(404) | _STREAMED,
)
async def get_context(
    owner: OwnerOfPath,
    session_id: IdInPath,
    query: Annotated[ContextQuery, Query()],
    services: TheServices,
    response: Response,
) -> Response | ContextResponse:
    """What a model should know besides the messages of the session: the block that a chat would be given.

    `X-Recallr-Request-Id` of the response is the id by which it is explained (`GET /requests/{request_id}`).
    """
    defaults = services.projects.defaults_of(owner.project)
    options = query.options(defaults)
    request_id = secrets.token_hex(16)
    response.headers[_REQUEST_ID] = request_id
    question = await services.context.question_of(owner, session_id)

    async def find(tell: Tell) -> ContextResponse:
        found = await services.context.context(
            owner,
            session_id,
            question,
            options,
            tell=tell,
            request_id=request_id,
            sent={_OPTION_OF.get(name, name) for name in query.model_fields_set},
            defaults={_OPTION_OF.get(name, name) for name in defaults},
        )
        return ContextResponse.of(found, with_ids=query.include_metadata_ids)

    if not query.stream:
        return await find(lambda _: None)
    return StreamingResponse(
        _events(find), media_type="text/event-stream", headers={"Cache-Control": "no-store", _REQUEST_ID: request_id}
    )


async def _events(find: Callable[[Tell], Any]) -> AsyncIterator[str]:
    """The progress of a search as server-sent events, the last one with what it has found."""
    told: asyncio.Queue[str | None] = asyncio.Queue()
    search = asyncio.ensure_future(find(told.put_nowait))
    search.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (message := await told.get()) is not None:
            yield _event(ContextResponse(is_final=False, status_update_message=message))
        try:
            yield _event(search.result())
        except Exception as error:  # noqa: BLE001 - the status is sent: what is wrong can only be said in an event
            yield _event(ContextResponse(is_final=True, error_message=str(detail_of(error)[1])))
    finally:  # the client may have gone
        search.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await search


def _event(response: ContextResponse) -> str:
    return f"data: {response.model_dump_json()}\n\n"
