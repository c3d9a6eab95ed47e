"""A small real memory, and a model that says what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from recallr_litellm.core.messages import Role
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.recall import Recall
from recallr_litellm.recall.agentic import Completion, OwnedMemory, ResearchQuestion, ToolRequest
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.vectors import VectorStore
from tests.benchmarks.conversations import Conversation, Said, Spoken, remember

MARA, OTTO = Owner("p", "mara"), Owner("p", "otto")
DAY = 24 * 3600 * 1000
START = int(datetime(2025, 3, 3, 9, 0, tzinfo=UTC).timestamp() * 1000)
BERLIN = ZoneInfo("Europe/Berlin")


def name(number: int) -> str:
    """The id of a memory."""
    return f"{number:032x}"


def tokens(text: str) -> int:
    """Four characters are a token, rounded up."""
    return -(-len(text) // 4)


@dataclass
class Store:
    """Conversations, stored as the processing of sessions does."""

    vectors: VectorStore
    embedder: Embedder
    sparse: SparseEncoder

    async def remember(self, owner: Owner, session: str, said: Sequence[tuple[Role, str]], at: int) -> None:
        messages = tuple(Said(f"{session}-{number}", role, text) for number, (role, text) in enumerate(said))
        spoken = Spoken(session, datetime.fromtimestamp(at / 1000, UTC), messages, summary=f"User: {said[0][1][:80]}")
        await remember(Conversation("", (spoken,), ()), self.vectors, self.embedder, self.sparse, owner)

    async def know(self, owner: Owner, *memories: Memory) -> None:
        await remember(Conversation("", (), (), memories), self.vectors, self.embedder, self.sparse, owner)

    @property
    def recall(self) -> Recall:
        return Recall(self.vectors, self.embedder, self.sparse)

    def of(self, owner: Owner, exclude: frozenset[str] = frozenset()) -> OwnedMemory:
        return OwnedMemory(self.recall, self.vectors, owner, RecallOptions(), exclude_sessions=exclude)


def question(text: str = "What is my dog called?", **more: Any) -> ResearchQuestion:
    return ResearchQuestion(text, datetime(2025, 4, 1, 12, 0, tzinfo=UTC), BERLIN, **more)


Step = Completion | Exception | Callable[[], Awaitable[Completion]]


@dataclass
class Scripted:
    """A model: answers with its steps, one after the other, the last one for ever; keeps what it was asked."""

    steps: list[Step]
    asked: list[list[dict[str, Any]]] = field(default_factory=list)
    offered: list[list[str]] = field(default_factory=list)

    async def __call__(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], *, max_tokens: int
    ) -> Completion:
        self.asked.append(json.loads(json.dumps(list(messages))))
        self.offered.append([tool["function"]["name"] for tool in tools])
        step = self.steps[min(len(self.asked), len(self.steps)) - 1]
        if isinstance(step, Completion):
            return step
        if isinstance(step, Exception):
            raise step
        return await step()

    def results(self, request: int = -1) -> list[Any]:
        """The results of tools in one of its requests."""
        return [json.loads(m["content"]) for m in self.asked[request] if m["role"] == "tool"]


def calls(*wanted: tuple[str, Any]) -> Completion:
    """An answer that asks for tools: (name, arguments); a string of arguments stands as it is."""
    requests = tuple(
        ToolRequest(f"id{number}", name, arguments if isinstance(arguments, str) else json.dumps(arguments))
        for number, (name, arguments) in enumerate(wanted)
    )
    made = [{"id": r.id, "type": "function", "function": {"name": r.name, "arguments": r.arguments}} for r in requests]
    return Completion({"role": "assistant", "tool_calls": made}, requests)


def says(text: str) -> Completion:
    """An answer in words."""
    return Completion({"role": "assistant", "content": text})


def report(*findings: dict[str, Any], **more: Any) -> Completion:
    return calls(("report_findings", {"findings": list(findings), **more}))
