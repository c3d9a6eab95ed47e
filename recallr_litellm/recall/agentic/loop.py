"""The search itself: the model asks for tools, until it reports or is out of steps, room or time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from recallr_litellm.core.escaping import clean
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.errors import ModelUnavailable
from recallr_litellm.recall.agentic.arguments import (
    REPORT,
    REPORT_FINDINGS,
    SEARCH_MEMORIES,
    SEARCH_SUMMARIES,
    TOOLS,
    ReportFindings,
)
from recallr_litellm.recall.agentic.citations import CitationRegistry
from recallr_litellm.recall.agentic.findings import Findings
from recallr_litellm.recall.agentic.memory import OwnedMemory
from recallr_litellm.recall.agentic.model import ChatMessage, Complete, Completion
from recallr_litellm.recall.agentic.prompt import REMINDER, SYSTEM, ResearchQuestion, opening
from recallr_litellm.recall.agentic.tools import Toolbox, fault, to_json, wrong_arguments
from recallr_litellm.recall.question import searchable

MAX_STEPS = 6
"""Answers of the model; in the last one it can only report."""
MAX_CALLS = 8
"""Calls of one answer that are run; the others are refused."""
ANSWER_TOKENS = 4_000
"""Most tokens of one answer, thinking included."""
FIRST_QUERY_CHARACTERS = 300
"""Of the user's message, as it stands in the call that the first search is shown as."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search has come after one of its steps."""

    recalled: Recalled
    """What there would be if the search ended now."""
    finished: bool = False
    """True for the last one, and for no other."""
    fault: str | None = None
    """Why a finished search has no findings of a model; None when the model has said what there is, be it nothing."""


class Agent:
    """Searches with a model. Keeps nothing between calls.

    Args:
        complete: asks the model.
        count_tokens: tokens of a text.
    """

    def __init__(self, complete: Complete, *, count_tokens: Callable[[str], int]) -> None:
        self._complete = complete
        self._count_tokens = count_tokens

    async def __call__(
        self,
        memory: OwnedMemory,
        question: ResearchQuestion,
        recalled: Recalled,
        options: RecallOptions,
        *,
        until: float,
        spend: Callable[[int], Awaitable[None]],
    ) -> AsyncIterator[Progress]:
        """Search, and tell of each step; the last one is finished.

        Args:
            recalled: what a search without a model has found: where the model starts, and what stays below findings.
            until: when to be done, on the clock of the event loop, in seconds.
            spend: is told the tokens of each call.

        Raises:
            VectorsUnavailable, EmbeddingUnavailable: memory does not answer.
        """
        found = recalled.passages or recalled.memories or recalled.summaries
        if not searchable(question.text) or not (found or await memory.holds_anything()):
            yield Progress(recalled, finished=True)
            return
        search = _Search(memory, question, recalled, options, self._count_tokens)
        loop = asyncio.get_running_loop()
        slowest = 0.0
        reason = "did not report in time"
        for step in range(1, MAX_STEPS + 1):
            begun = loop.time()
            last = step == MAX_STEPS or search.toolbox.exhausted or until - begun < 2 * slowest
            try:
                # Only around what is waited for here: a timeout must not span a `yield`.
                async with asyncio.timeout_at(until):
                    completion = await self._complete(
                        search.messages, [REPORT] if last else TOOLS, max_tokens=ANSWER_TOKENS
                    )
                    await spend(completion.tokens)
                    await search.take(completion)
            except TimeoutError:
                break
            except ModelUnavailable as error:
                reason = str(error)
                break
            slowest = max(slowest, loop.time() - begun)
            if search.reported:
                yield Progress(search.so_far, finished=True)
                return
            yield Progress(search.so_far)
            if last or search.reminders > 1:
                reason = "did not report" if last else "does not use the tools"
                break
        if search.findings:
            yield Progress(search.so_far, finished=True)
        else:
            yield Progress(search.cut_off, finished=True, fault=reason)


class _Search:
    """One search: what the model was told, and what it has found."""

    def __init__(
        self,
        memory: OwnedMemory,
        question: ResearchQuestion,
        recalled: Recalled,
        options: RecallOptions,
        count_tokens: Callable[[str], int],
    ) -> None:
        citations = CitationRegistry()
        self._recalled = recalled
        self._options = options
        self.toolbox = Toolbox(memory, citations, question.timezone, count_tokens)
        self.reminders = 0
        """How often in a row the model has answered without a readable call."""
        self.findings = Findings(citations)
        self.reported = False
        """The model has said that this is all."""
        self.messages: list[ChatMessage] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": opening(question)},
            *self._first_search(question, recalled),
        ]

    def _first_search(self, question: ResearchQuestion, recalled: Recalled) -> list[ChatMessage]:
        """What was recalled, as if the model had searched for the question itself."""
        found = [(SEARCH_MEMORIES, self.toolbox.memories(recalled))]
        if recalled.summaries:
            found.append((SEARCH_SUMMARIES, self.toolbox.summaries(recalled.summaries)))
        query = to_json({"query": clean(question.text[:FIRST_QUERY_CHARACTERS])})
        calls = [
            {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": query}}
            for name, _ in found
        ]
        return [
            {"role": "assistant", "content": None, "tool_calls": calls},
            *({"role": "tool", "tool_call_id": f"call_{name}", "content": result} for name, result in found),
        ]

    @property
    def so_far(self) -> Recalled:
        """What was recalled, with the findings reported so far."""
        return self.findings.before(self._recalled, self._options)

    @property
    def cut_off(self) -> Recalled:
        """What was recalled, and what the searches have brought: there are no findings."""
        return self.findings.behind(self._recalled, self._options)

    async def take(self, completion: Completion) -> None:
        """Run the tools that the model asks for; append its answer and their results to the messages."""
        arguments = [_object(request.arguments) for request in completion.requests]
        if not arguments or None in arguments:
            self.reminders += 1
            # Its answer is left out: providers refuse broken arguments, and small models continue their own words.
            self.messages.append({"role": "user", "content": REMINDER})
            return
        self.reminders = 0
        self.messages.append(completion.message)
        for number, request in enumerate(completion.requests):
            result = await self._run(request.name, arguments[number] or {}, too_many=number >= MAX_CALLS)
            self.messages.append({"role": "tool", "tool_call_id": request.id, "content": result})

    async def _run(self, name: str, arguments: dict[str, Any], *, too_many: bool) -> str:
        if too_many:
            return fault(f"only {MAX_CALLS} calls at once")
        if name == REPORT_FINDINGS:
            return self._report(arguments)
        return await self.toolbox.run(name, arguments)

    def _report(self, arguments: dict[str, Any]) -> str:
        try:
            report = ReportFindings.model_validate(arguments)
        except ValidationError as error:
            return fault(wrong_arguments(error))
        dropped = self.findings.add(report.findings)
        # A report of which nothing stands is none: the model may try again.
        self.reported = report.complete and (not dropped or bool(self.findings))
        if dropped:
            return fault(f"{dropped} findings were dropped: each needs a text and ids that a tool has returned")
        return to_json({"accepted": len(report.findings)})


def _object(arguments: str) -> dict[str, Any] | None:
    """The arguments of a call; None where they are no JSON object."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
