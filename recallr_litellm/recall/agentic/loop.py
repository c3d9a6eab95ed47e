"""The search itself: the model asks for tools, until it reports or is out of steps, room or time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.errors import ModelUnavailable
from recallr_litellm.recall.agentic.arguments import (
    REPORT,
    REPORT_FINDINGS,
    SEARCH_MEMORIES,
    SEARCH_SUMMARIES,
    TOOLS,
)
from recallr_litellm.recall.agentic.citations import CitationRegistry
from recallr_litellm.recall.agentic.findings import Findings, readable_reports
from recallr_litellm.recall.agentic.memory import OwnedMemory
from recallr_litellm.recall.agentic.model import ChatMessage, Complete, Completion, ToolRequest
from recallr_litellm.recall.agentic.prompt import REMINDER, SYSTEM, ResearchQuestion, opening
from recallr_litellm.recall.agentic.tools import Toolbox, fault, readable, to_json
from recallr_litellm.recall.agentic.written import is_object, objects, written_calls
from recallr_litellm.recall.question import searchable

_log = logging.getLogger(__name__)

MAX_STEPS = 6
"""Answers of the model; in the last one it can only report."""
MAX_CALLS = 8
"""Calls of one answer that are run; the others are refused."""
ANSWER_TOKENS = 4_000
"""Most tokens of one answer, thinking included."""
FIRST_QUERY_CHARACTERS = 300
"""Of the user's message, as it stands in the call that the first search is shown as."""

_KNOWN = frozenset(tool["function"]["name"] for tool in TOOLS)


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
    ) -> AsyncIterator[Progress]:
        """Search, and tell of each step; the last one is finished.

        Args:
            recalled: what a search without a model has found: where the model starts, and what stays below findings.
            until: when to be done, on the clock of the event loop, in seconds.

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
            last = step == MAX_STEPS or search.exhausted or until - begun < 2 * slowest
            try:
                # Only around what is waited for here: a timeout must not span a `yield`.
                async with asyncio.timeout_at(until):
                    completion = await self._complete(
                        search.messages, [REPORT] if last else TOOLS, max_tokens=ANSWER_TOKENS
                    )
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
            if last or search.lost:
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
        self._toolbox = Toolbox(memory, citations, question.timezone, count_tokens)
        self._calls = 0
        self._silent = 0
        self.findings = Findings(citations)
        self.reported = False
        """The model has said that this is all."""
        self.messages: list[ChatMessage] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": opening(question)},
        ]
        first = [(SEARCH_MEMORIES, self._toolbox.memories(recalled))]
        if recalled.summaries:
            first.append((SEARCH_SUMMARIES, self._toolbox.summaries(recalled.summaries)))
        query = to_json({"query": readable(question.text[:FIRST_QUERY_CHARACTERS])})
        self._answer([ToolRequest("", name, query) for name, _ in first], [result for _, result in first])

    @property
    def exhausted(self) -> bool:
        """No tool has room for another result."""
        return self._toolbox.exhausted

    @property
    def lost(self) -> bool:
        """The model was reminded to use the tools, and did not."""
        return self._silent > 1

    @property
    def so_far(self) -> Recalled:
        """What was recalled, with the findings reported so far."""
        return self.findings.before(self._recalled, self._options)

    @property
    def cut_off(self) -> Recalled:
        """What was recalled, and what the searches have brought: there are no findings."""
        return self.findings.behind(self._recalled, self._options)

    async def take(self, completion: Completion) -> None:
        """Run what the model asks for, and write down answer and results."""
        content = completion.message.get("content")
        text = content if isinstance(content, str) else ""
        requests = completion.requests or written_calls(text, _KNOWN)
        if not requests:
            self._silent += 1
            # What it said is left out: small models go on with their own words rather than with what they are told.
            self.messages.append({"role": "user", "content": REMINDER})
            return
        self._silent = 0
        results: list[str] = []
        sound = len({request.id for request in requests}) == len(requests)
        for number, request in enumerate(requests):
            arguments = _object(request.arguments)
            sound = sound and is_object(request.arguments) and bool(request.id) and request.name in _KNOWN
            if number >= MAX_CALLS:
                results.append(fault(f"only {MAX_CALLS} calls at once"))
            elif arguments is None:
                results.append(fault("the arguments are not a JSON object"))
            elif request.name == REPORT_FINDINGS:
                results.append(self._report(arguments))
            else:
                results.append(await self._toolbox.run(request.name, arguments))
        self._answer(requests, results, message=completion.message if sound else None)

    def _report(self, arguments: dict[str, Any]) -> str:
        reports, unreadable = readable_reports(arguments.get("findings"))
        if not isinstance(arguments.get("findings"), list):
            return fault("findings: must be a list")
        dropped = unreadable + self.findings.add(reports)
        complete = arguments.get("complete") is not False
        # A report of which nothing stands is none: the model may try again.
        if complete and (not dropped or self.findings):
            self.reported = True
        if dropped:
            return fault(f"{dropped} findings were dropped: each needs a text and ids that a tool has returned")
        return to_json({"accepted": len(reports)})

    def _answer(
        self, requests: Sequence[ToolRequest], results: Sequence[str], *, message: ChatMessage | None = None
    ) -> None:
        """Write down calls and results; the calls as the model made them, or, if they were not sound, made so."""
        ids = [request.id for request in requests]
        if message is None:
            ids = [f"call_{self._calls + number}" for number in range(len(requests))]
            self._calls += len(requests)
            calls = [
                {
                    "id": id,
                    "type": "function",
                    "function": {
                        "name": request.name if request.name in _KNOWN else "unknown",
                        "arguments": to_json(_object(request.arguments) or {}),
                    },
                }
                for id, request in zip(ids, requests, strict=True)
            ]
            message = {"role": "assistant", "content": None, "tool_calls": calls}
        self.messages.append(message)
        self.messages += [
            {"role": "tool", "tool_call_id": id, "content": result} for id, result in zip(ids, results, strict=True)
        ]


def _object(arguments: str) -> dict[str, Any] | None:
    """The arguments of a call; where more stands there than a JSON object, the first one."""
    return next(objects(arguments), None) if arguments.strip() else {}
