"""The tokens of a day are for learning and agentic recall together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recallr_litellm.recall.agentic.model import Completion
from tests.unit.gateway.kit import Client, process, running, tell
from tests.unit.recall_agentic.kit import report


async def test_where_the_budget_is_spent_agentic_recall_is_balanced_and_says_so_and_learning_waits(
    tmp_path: Path,
) -> None:
    asked: list[str] = []

    async def complete(model: str, messages: Any, tools: Any, *, max_tokens: int) -> Completion:
        asked.append(model)
        found = report({"text": "The cat is Felix.", "memory_ids": ["m1"]}, complete=True)
        return Completion(found.message, found.requests, tokens=500)

    async for runtime in running(
        tmp_path, complete=complete, memory_model="small", learning=False, memory_budget_tokens=800
    ):
        await tell(runtime, "My cat is called Felix.")
        await process(runtime)
        statuses = []
        for number in range(3):
            client = Client(runtime, name=f"chat {number}", recall_strategy="agentic")
            body = await client.ask("What is my cat called?")
            assert "Felix" in str(body["messages"])
            statuses.append((client.call.status, client.call.reason))
        spent = "project 'acme' has used its 800 tokens of today"
        assert statuses == [("ok", None), ("ok", None), ("degraded; reason=agent", spent)]
        assert asked == ["small"] * 2
        assert await runtime._state.spend_tokens("acme", 0) == 1_000
