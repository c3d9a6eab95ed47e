"""The context of a session: the memory block that a chat with the session's last message would be given."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from recallr_litellm.core.bounds import SHOWN_BYTES_PER_TOKEN
from recallr_litellm.core.context import render
from recallr_litellm.core.instructions import instructions
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import Message
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.errors import CallRefused, SessionNotFound, Unavailable
from recallr_litellm.memory.sessions import Sessions
from recallr_litellm.recall.by_strategy import MemorySearch, Question
from recallr_litellm.recall.trace import Trace
from recallr_litellm.services.explain import Explain
from recallr_litellm.services.explanation import Request
from recallr_litellm.services.shown import Piece, pieces
from recallr_litellm.settings import Settings
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.vectors import VectorStore

_READ: Final = 20
"""Messages of the session that are looked at for the question and what came before it."""
_SEPARATOR: Final = "\n\n\n"
"""Between the instructions and the block, as the official SDK has it."""

Tell = Callable[[str], None]
"""Is told what is being done, in words for a person who waits."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a model is to be told besides the session's own messages."""

    text: str
    strategy: Strategy
    """By which memory was searched; never `auto`."""
    question: str
    """What it was searched for; "" where nothing was."""
    tokens: int
    """Of the memory block in it."""
    shown: tuple[Piece, ...]
    """What the block shows."""
    reasoning: str | None
    """What a model concluded."""
    fault: str | None
    """Why it does not hold all that there is; None where it does."""

    @property
    def memory_ids(self) -> tuple[str, ...]:
        """Of the memories that the text shows."""
        return tuple(dict.fromkeys(one.id for one in self.shown if one.kind in {"profile", "memory"}))

    @property
    def session_ids(self) -> tuple[str, ...]:
        """Of the sessions that it shows something of."""
        return tuple(dict.fromkeys(session for one in self.shown for session in one.sessions))


class ContextService:
    """Gives the context of sessions.

    Args:
        breakers: of the vector store and of the embedding.
        count_tokens: tokens of a text.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        state: StateStore,
        vectors: VectorStore,
        search: MemorySearch,
        breakers: Collection[CircuitBreaker],
        *,
        count_tokens: Callable[[str], int],
        explain: Explain,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._state = state
        self._vectors = vectors
        self._search = search
        self._breakers = breakers
        self._count_tokens = count_tokens
        self._explain = explain

    async def question_of(self, owner: Owner, session_id: str) -> Question:
        """What the last words of the user in a session ask of memory.

        Raises:
            SessionNotFound: the owner has none of this id.
        """
        said = await self._last_messages(owner, session_id)
        asked = [index for index, message in enumerate(said) if message.role == "user"]
        if not asked:
            return Question("", earlier=said)
        previous = said[asked[-2]].text if len(asked) > 1 else ""
        return Question(said[asked[-1]].text, previous, said[: asked[-1]])

    async def context(
        self,
        owner: Owner,
        session_id: str,
        question: Question,
        options: RecallOptions,
        *,
        tell: Tell = lambda _: None,
        request_id: str | None = None,
        sent: Collection[str] = (),
        defaults: Collection[str] = (),
        kept: bool = True,
    ) -> Context:
        """What a chat would be given that asks this question in this session.

        Within the deadline of the strategy; past it, or where a store fails, what was found until then.

        Args:
            question: as `question_of` has it.
            request_id: by which it can be explained afterwards; unique.
            sent: fields of `options` that the client sent, and `defaults`: those that the project has set.
            kept: whether it is kept, for `Explain`.

        Raises:
            StateUnavailable: Redis does not answer.
        """
        loop, now = asyncio.get_running_loop(), datetime.now(UTC)
        trace = Trace("context") if kept and self._explain.enabled else None
        asked = options
        strategy = self._search.chosen(owner, options.strategy, question.text)
        options = replace(options, strategy=strategy)
        seconds = self._settings.deadline_seconds(strategy)
        until = loop.time() + seconds - min(1.0, 0.1 * seconds)
        others = tuple(id for id in await self._state.open_ids(owner) if id != session_id)
        ongoing = await self._sessions.ongoing(owner, others, tokens=self._settings.context_tokens)
        recalled, fault = Recalled(), None
        try:
            async with asyncio.timeout(seconds):
                for breaker in self._breakers:
                    breaker.require()
                tell("Searching memory")
                if trace is not None:
                    trace.lap("session")
                seen = frozenset((session_id, *(one.id for one in ongoing)))
                async for progress in self._search(
                    owner, question, options, exclude_sessions=seen, now=now, until=until, trace=trace
                ):
                    recalled, fault = progress.recalled, progress.fault
                    if trace is not None:
                        trace.lap("agent" if trace.parts[-1].name in ("scoring", "agent") else "scoring")
                    tell(_in_words(recalled, finished=progress.finished))
        except TimeoutError:
            self._suspect()
            fault = "the time was up"
        except (Unavailable, CallRefused) as error:
            self._suspect()
            fault = f"memory is unavailable ({error.reason})"
        block = render(
            recalled,
            ongoing=ongoing,
            unseen=(),
            now=now,
            timezone=options.timezone,
            budget=self._settings.context_tokens,
            count_tokens=self._count_tokens,
        )
        if trace is not None:
            trace.lap("block")
            trace.recalled, trace.ongoing, trace.instructions = recalled, ongoing, options.include_system_prompt
            id = request_id or secrets.token_hex(16)
            trace.laid = {0: LaidBlock(id, "", "", block.text, block.tokens, shown=tuple(block.shown))}
            self._explain.record(
                Request(
                    id=id,
                    at=round(now.timestamp() * 1000),
                    project=owner.project,
                    trace=trace,
                    owner=owner,
                    kind="context",
                    http_status=200,
                    status="degraded" if fault else "ok" if block.text else "empty",
                    reason=fault,
                    strategy=strategy.value if strategy is asked.strategy else f"{asked.strategy}:{strategy}",
                    session_id=session_id,
                    options=asked,
                    sent=sent,
                    defaults={"project": defaults},
                    injected=True,
                    spent=trace.parts[-1].ended - trace.began,
                )
            )
        text = block.text
        if options.include_system_prompt:
            text = instructions(strategy) + _SEPARATOR + text
        return Context(
            text=text,
            strategy=strategy,
            question=question.text,
            tokens=block.tokens,
            shown=tuple(pieces(block, recalled, ongoing)),
            reasoning="\n".join(finding.text for finding in recalled.findings) or None,
            fault=fault,
        )

    async def _last_messages(self, owner: Owner, session_id: str) -> list[Message]:
        index = await self._state.load_index(owner, session_id)
        if index is not None:
            most = SHOWN_BYTES_PER_TOKEN * self._settings.context_tokens
            ids = [entry.id for entry in reversed(index.entries[-_READ:])]
            found = await self._state.read(owner, session_id, ids, most_bytes=most) if ids else []
            return [stored.message for stored in reversed(found)]
        if await self._vectors.get_session(owner, session_id) is None:
            raise SessionNotFound(f"Session {session_id} not found")
        return [stored.message for stored in (await self._vectors.read_messages(owner, session_id))[-_READ:]]

    def _suspect(self) -> None:
        for breaker in self._breakers:
            breaker.suspect()


def _in_words(recalled: Recalled, *, finished: bool) -> str:
    if recalled.findings and not finished:
        return f"A model searches on: {len(recalled.findings)} findings so far"
    passages, memories, summaries = map(len, (recalled.passages, recalled.memories, recalled.summaries))
    found = f"Found {passages} passages, {memories} memories and {summaries} summaries"
    return found if finished else f"{found}; a model searches on"
