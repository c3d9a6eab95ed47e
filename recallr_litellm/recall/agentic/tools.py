"""The tools: what the model asks for is looked up in one user's memory and written as JSON.

Remembered text stands in JSON strings and nowhere else: it is data, and cannot pass for anything but data.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from recallr_litellm.core.escaping import clean
from recallr_litellm.core.markup import Clock
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.passages import split
from recallr_litellm.core.recalled import Recalled, RecalledMemory, RecalledPassage, RecalledSummary, Remembered, ranked
from recallr_litellm.core.records import Span
from recallr_litellm.recall.agentic import arguments as args
from recallr_litellm.recall.agentic.citations import CitationRegistry
from recallr_litellm.recall.agentic.memory import OwnedMemory

RESULT_TOKENS = 2_000
"""Most tokens of one result."""
ALL_RESULTS_TOKENS = 10_000
"""Most tokens of all results of a search: each of them is read again in every further step."""
MESSAGE_CHARACTERS = 1_200
"""Most of a message that `read_session` shows."""
MESSAGES_BEFORE, MESSAGES_AFTER = 6, 10
"""How far `read_session` looks around a message."""
LISTED_SESSIONS = 20


class Refused(Exception):
    """A call that cannot be answered. The message is for the model."""


class Toolbox:
    """Runs the tools of one search.

    Args:
        timezone: that of the user, in which times are written and days begin.
        count_tokens: tokens of a text.
    """

    def __init__(
        self, memory: OwnedMemory, citations: CitationRegistry, timezone: ZoneInfo, count_tokens: Callable[[str], int]
    ) -> None:
        self._memory = memory
        self._citations = citations
        self._timezone = timezone
        self._clock = Clock(timezone)
        self._count_tokens = count_tokens
        self._room = ALL_RESULTS_TOKENS
        self._tools: Mapping[str, tuple[type[BaseModel], Callable[[Any], Awaitable[str]]]] = {
            args.SEARCH_MEMORIES: (args.SearchMemories, self._search_memories),
            args.SEARCH_SUMMARIES: (args.SearchSummaries, self._search_summaries),
            args.READ_SESSION: (args.ReadSession, self._read_session),
            args.FOLLOW_CONNECTIONS: (args.FollowConnections, self._follow_connections),
            args.LIST_BY_DATE: (args.ListByDate, self._list_by_date),
        }

    @property
    def exhausted(self) -> bool:
        """There is no room for another result."""
        return self._room <= 0

    async def run(self, name: str, arguments: dict[str, Any]) -> str:
        """The result of a call, JSON; `{"error": …}` for one that cannot be answered.

        Raises:
            VectorsUnavailable, EmbeddingUnavailable: memory does not answer.
        """
        if name not in self._tools:
            return fault(f"there is no such tool; there are {', '.join([*self._tools, args.REPORT_FINDINGS])}")
        if self.exhausted:
            return fault("no room for more results: report what was found")
        try:
            asked, tool = self._tools[name]
            return await tool(asked.model_validate(arguments))
        except Refused as refusal:
            return fault(str(refusal))
        except ValidationError as error:
            return fault(wrong_arguments(error))

    def memories(self, found: Recalled) -> str:
        """Passages and memories as a result of `search_memories`."""
        return self._result("memories", ranked(found.memories, found.passages), self._remembered)

    def summaries(self, summaries: Iterable[RecalledSummary]) -> str:
        """Summaries as a result of `search_summaries`."""
        return self._result("summaries", summaries, self._summary)

    async def _search_memories(self, asked: args.SearchMemories) -> str:
        return self.memories(await self._memory.search(asked.query, asked.k, self._within(asked)))

    async def _search_summaries(self, asked: args.SearchSummaries) -> str:
        return self.summaries((await self._memory.search(asked.query, 1, self._within(asked))).summaries)

    async def _read_session(self, asked: args.ReadSession) -> str:
        session = self._citations.session(asked.session_id)
        if session is None:
            raise Refused("no tool has returned this session_id")
        messages = [m for m in await self._memory.messages(session.id) if m.message.role != "tool" and m.message.text]
        begin = 0
        if asked.around:
            known = self._citations.passages(asked.around)
            place = next((n for n, m in enumerate(messages) if known and m.id == known[0].message), None)
            if place is None:
                raise Refused("no tool has returned this id for a message of this session")
            begin = max(0, place - MESSAGES_BEFORE)
        end = begin + MESSAGES_BEFORE + MESSAGES_AFTER
        return self._result(
            "messages",
            messages[begin:end],
            lambda stored: self._message(session.id, stored),
            session_id=asked.session_id,
            messages_before=begin,
            messages_after=max(0, len(messages) - end),
        )

    async def _follow_connections(self, asked: args.FollowConnections) -> str:
        memory = self._citations.memory(asked.id)
        if memory is None:
            raise Refused("no tool has returned this id for a fact")
        return self._result("connected", await self._memory.connected(memory.id), self._memory_entry, id=asked.id)

    async def _list_by_date(self, asked: args.ListByDate) -> str:
        found = await self._memory.sessions(self._days(asked.since, asked.until), LISTED_SESSIONS)
        listed = [RecalledSummary(s.id, s.created_at, s.last_at, s.summary, 0.0) for s in found]
        return self._result("sessions", listed, lambda session: self._summary(session, measured=False))

    def _within(self, asked: args.SearchMemories | args.SearchSummaries) -> Span | None:
        """The time that a search is kept to."""
        if asked.since is None and asked.until is None:
            return None
        return self._days(asked.since or date.min, asked.until or date.max)

    def _days(self, since: date, until: date) -> Span:
        """From the first to the last millisecond of these days in the user's timezone."""
        begin = datetime.combine(since, time.min, self._timezone)
        end = datetime.combine(until, time.max, self._timezone)
        try:
            return Span(round(begin.timestamp() * 1000), round(end.timestamp() * 1000))
        except (OverflowError, ValueError):
            raise Refused("there is no such day") from None

    def _remembered(self, item: Remembered) -> dict[str, Any]:
        if isinstance(item, RecalledPassage):
            return self._passage(item)
        connected = [self._memory_entry(other) for other in item.connected]
        return {
            **self._memory_entry(item),
            "relevance": round(item.relevance, 2),
            **({"connected": connected} if connected else {}),
        }

    def _memory_entry(self, memory: RecalledMemory) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if memory.event_start is not None:
            more["event"] = self._clock.event(memory.event_start, memory.event_end)
        if memory.until is not None:
            more["true_until"] = self._clock.date(memory.until)
        if memory.was:
            more["before"] = [
                {"fact": clean(text), "true_until": self._clock.date(until)} for until, text in memory.was
            ]
        if memory.disputed:
            more["disputed"] = clean(memory.disputed)
        return {
            "id": self._citations.show_memory(memory),
            "session_id": self._citations.show_session(memory.session, memory.at, memory.at),
            "told": self._clock.time(memory.at),
            **more,
            "fact": clean(memory.text),
        }

    def _passage(self, passage: RecalledPassage) -> dict[str, Any]:
        return {
            "id": self._citations.show_passage(passage),
            "session_id": self._citations.show_session(passage.session, passage.at, passage.at),
            "said_by": speaker(passage.role, passage.name),
            "at": self._clock.time(passage.at),
            "relevance": round(passage.relevance, 2),
            "text": clean(passage.text),
        }

    def _summary(self, summary: RecalledSummary, *, measured: bool = True) -> dict[str, Any]:
        relevance = {"relevance": round(summary.relevance, 2)} if measured else {}
        return {
            "session_id": self._citations.show_session(summary.session, summary.created_at, summary.last_at),
            "from": self._clock.time(summary.created_at),
            "to": self._clock.time(summary.last_at),
            **relevance,
            "summary": clean(summary.summary),
        }

    def _message(self, session: str, stored: StoredMessage) -> dict[str, Any]:
        shown: list[str] = []
        name = ""
        texts = split(stored.message.text) or [stored.message.text]
        for part, text in enumerate(texts):
            if shown and sum(map(len, shown)) + len(text) > MESSAGE_CHARACTERS:
                break
            shown.append(text)
            passage = RecalledPassage(
                session, stored.id, stored.position, part, stored.message.role, stored.at, text, 0
            )
            name = self._citations.show_passage(passage)
        return {
            "id": name,
            "said_by": speaker(stored.message.role, stored.message.name),
            "at": self._clock.time(stored.at),
            "text": clean("\n".join(shown)),
            **({"cut": True} if len(shown) < len(texts) else {}),
        }

    def _result(self, name: str, items: Iterable[Any], write: Callable[[Any], dict[str, Any]], **more: Any) -> str:
        """As many items as there is room for. Only what is written has been shown."""
        room = min(RESULT_TOKENS, self._room)
        written: list[dict[str, Any]] = []
        left_out = 0
        for item in items:
            entry = write(item) if room > 0 else None
            if entry is None:
                left_out += 1
                continue
            room -= self._count_tokens(to_json(entry))
            written.append(entry)
        result = to_json({**more, name: written, **({"left_out": left_out} if left_out else {})})
        self._room -= self._count_tokens(result)
        return result


def speaker(role: str, name: str) -> str:
    """Who said something, for the model."""
    return clean(f"{role} {name}")


def to_json(value: Any) -> str:
    """Compact JSON, letters of all languages as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fault(message: str) -> str:
    """The result of a call that cannot be answered."""
    return to_json({"error": message})


def wrong_arguments(error: ValidationError) -> str:
    """What is wrong with the arguments of a call, for the model."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
