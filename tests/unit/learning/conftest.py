"""Learning without a gateway: the real stores, the bundled embedding model, and a scripted model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory, Session, Turn
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.learner import Learner
from recallr_litellm.learning.model import Written
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state import EmbeddedValkey, StateStore
from recallr_litellm.stores.state.learning_queue import LearningQueue
from recallr_litellm.stores.vectors import VectorStore
from tests.benchmarks.material import opened
from tests.unit.learning.kit import OWNER, at, session

Answer = str | Exception | Written
Script = Callable[[str, str], Answer]
"""(what is asked for, the last message) → the model's answer."""


class ScriptedModel:
    """Answers by a script; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.facts: Script = lambda _name, _text: json.dumps({"facts": []})
        self.decisions: Script = lambda _name, _text: json.dumps({"decisions": []})

    async def __call__(
        self, messages: Sequence[dict[str, Any]], schema: dict[str, Any], *, name: str, max_tokens: int
    ) -> Written:
        text = str(messages[-1]["content"])
        self.asked.append((name, text))
        answer = (self.facts if name == "facts" else self.decisions)(name, text)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Written) else Written(answer, tokens=100)

    def says(self, said: dict[str, Iterable[dict[str, Any]]]) -> None:
        """Facts by a part of the conversation that they are extracted from; their evidence is the message with it."""

        def script(_name: str, text: str) -> str:
            lines = text.splitlines()
            found = [
                {"evidence": [number], **fact}
                for part, facts in said.items()
                for number, line in enumerate(lines, 1)
                if part in line and "TARGET" in line
                for fact in facts
            ]
            return json.dumps({"facts": found})

        self.facts = script

    def decides(self, decided: dict[str, tuple[str, str]]) -> None:
        """Outcomes by a part of the fact: (outcome, part of the memory that it concerns)."""

        def script(_name: str, text: str) -> str:
            decisions, number, chosen = [], 0, ("new", "")
            for line in text.splitlines():
                if line.startswith("FACT"):
                    number += 1
                    chosen = next((what for part, what in decided.items() if part in line), ("new", ""))
                elif chosen[1] and chosen[1] in line:
                    place = int(line.split()[1])
                    decisions.append({"fact": number, "outcome": chosen[0], "memory": place, "text": ""})
            return json.dumps({"decisions": decisions})

        self.decisions = script


class World:
    """What the tests work with."""

    def __init__(
        self,
        state: StateStore,
        vectors: VectorStore,
        queue: LearningQueue,
        learner: Learner,
        model: ScriptedModel,
    ) -> None:
        self.state = state
        self.vectors = vectors
        self.queue = queue
        self.learner = learner
        self.model = model
        self.rules = Rules()
        self.budget: int | None = None

    async def remember(
        self, id: str, *lines: str, day: str, owner: Owner = OWNER, timezone: str = ""
    ) -> list[StoredMessage]:
        """A processed session of these lines."""
        said = session(*lines, day=day)
        stored = [one.model_copy(update={"id": f"{id}-{one.position}", "timezone": timezone}) for one in said]
        record = Session(
            id=id, created_at=at(day), last_at=stored[-1].at, timeout_seconds=600, message_count=len(stored)
        )
        await self.vectors.save_session(owner, record, [Turn(one, ()) for one in stored], None)
        return stored

    async def learned(self, id: str, *lines: str, day: str, owner: Owner = OWNER, timezone: str = "") -> None:
        """A session of these lines, learned."""
        await self.remember(id, *lines, day=day, owner=owner, timezone=timezone)
        await self.learner.learn(owner, id)

    async def memories(self, owner: Owner = OWNER) -> list[Memory]:
        """All records, current and past, by when they were told."""
        from recallr_litellm.stores.vectors import points, schema
        from recallr_litellm.stores.vectors.engine import Where
        from recallr_litellm.stores.vectors.schema import Kind

        payloads = await self.vectors._all(Where(owner, Kind.MEMORY), [schema.RECORD])
        records = [points.record_of(payload, Memory) for payload in payloads]
        return sorted(records, key=lambda one: (one.created_at, one.expired_at or 0, one.content))

    async def current(self, owner: Owner = OWNER) -> list[str]:
        """What is held to be true."""
        return sorted(one.content for one in await self.memories(owner) if one.expired_at is None)

    async def history(self, owner: Owner = OWNER) -> list[str]:
        """What was."""
        return [one.content for one in await self.memories(owner) if one.expired_at is not None]


@pytest.fixture
async def world(tmp_path: Path, quick_stores: None) -> AsyncIterator[World]:
    async with a_world(tmp_path) as made:
        yield made


@asynccontextmanager
async def a_world(tmp_path: Path) -> AsyncIterator[World]:
    """One with nothing in it."""
    vectors, embedder = await opened(tmp_path / "qdrant")
    valkey = EmbeddedValkey(tmp_path / "redis")
    queue = LearningQueue.from_url(valkey.start(), timeout_seconds=60)
    breaker = CircuitBreaker("redis", queue.probe, probe_timeout=60)
    await breaker.probe()
    model = ScriptedModel()
    state = StateStore(queue.link, timeout_seconds=60)
    made: World

    learner = Learner(
        queue,
        Knowing(state, vectors, embedder, SparseEncoder()),
        model,
        breakers=[breaker],
        state_breaker=breaker,
        rules=lambda _: made.rules,
        budget=TokenBudget(state, lambda _: made.budget),
        interval=0.05,
        lease_seconds=60,
    )
    made = World(state, vectors, queue, learner, model)
    yield made
    await queue.close()
    await vectors.close()
    await embedder.close()
    valkey.stop()
