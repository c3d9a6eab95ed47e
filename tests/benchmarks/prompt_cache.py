"""What memory costs at a provider that caches prompts: the price of the input with memory, against the same client's
without it, where a cached token costs a tenth.

    python -m tests.benchmarks.prompt_cache

One user remembers all conversations of `first_person.json`. A chat asks 16 of its questions and sends its whole history
each time; an agent has 4 turns of 8 steps, each with a result of 3,000 characters. What a request has in common with
the beginning of the one before it counts as cached. Deterministic but for the times in the blocks.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from pydantic import SecretStr

from recallr_litellm.core.messages import Message, ToolCall
from recallr_litellm.core.room import Model
from recallr_litellm.formats import Reply
from recallr_litellm.gateway.call import Call, now_ms
from recallr_litellm.gateway.runtime import Runtime
from recallr_litellm.litellm_host.models import count_tokens
from recallr_litellm.request_headers import RawHeaders
from recallr_litellm.settings import Settings
from tests.benchmarks.conversations import FIRST_PERSON
from tests.support.client_history import FORMATS, ClientFormat, Items

KEY = "rai_benchmark"
TURNS, AGENT_TURNS, STEPS, RESULT_CHARACTERS = 16, 4, 8, 3_000
CACHED_PRICE = 0.1


class Price:
    """Of the input of one conversation, in tokens at full price."""

    def __init__(self) -> None:
        self.total, self.tokens, self._before = 0.0, 0, ""

    def add(self, prompt: str) -> None:
        cached = count_tokens(os.path.commonprefix([self._before, prompt]))  # noqa: RUF071 - no paths
        tokens = count_tokens(prompt)
        self.total += tokens - cached + CACHED_PRICE * cached
        self.tokens += tokens
        self._before = prompt


class Client:
    """One conversation of the user, with and without memory."""

    def __init__(self, runtime: Runtime, name: str, format: ClientFormat) -> None:
        self._runtime, self._name, self._format = runtime, name, format
        self._history: Items = []
        self._call = Call(RawHeaders(()))
        self.with_memory, self.without = Price(), Price()

    async def send(self, said: Items, **fields: Any) -> None:
        self._history += said
        self.without.add(self._format.prompt(self._format.body(self._history)))
        body = self._format.body(self._history, **fields)
        headers = {
            "project-id": "acme",
            "api-key": KEY,
            "user-id": "ana",
            "allow-new-user-creation": "true",
            "conversation-id": self._name,
        }
        self._call = Call(RawHeaders(tuple((f"x-recallr-{name}", value) for name, value in headers.items())))
        await self._runtime.recollection.enrich(self._call, body, self._format.call_type)
        self.with_memory.add(self._format.prompt(body))

    async def answered(self, text: str = "", *calls: ToolCall) -> None:
        exchange = self._call.exchange(Reply((Message(role="assistant", text=text, tool_calls=calls),), complete=True))
        if exchange is None or not await self._runtime.store(exchange, within=60):
            raise RuntimeError("the exchange could not be stored")
        for call in calls:
            self._history += self._format.calls(call.id, call.arguments)
        if text:
            self._history += self._format.assistant(text)

    @property
    def times(self) -> float:
        return self.with_memory.total / self.without.total


async def chat(client: Client, format: ClientFormat, questions: list[tuple[str, str]]) -> None:
    for question, answer in questions:
        await client.send(format.user(question))
        await client.answered(answer)


async def agent(client: Client, format: ClientFormat, questions: list[tuple[str, str]]) -> None:
    tools = {"tools": [{"type": "function", "name": "look", "function": {"name": "look"}}]}
    for turn, (question, answer) in enumerate(questions[:AGENT_TURNS]):
        said = format.user(question)
        for step in range(STEPS):
            await client.send(said, **tools)
            id = f"call_{turn}_{step}"
            await client.answered("", ToolCall(id=id, name="look", arguments=json.dumps({"page": step})))
            said = format.result(id, (f"Line {turn}.{step} of the file. " * RESULT_CHARACTERS)[:RESULT_CHARACTERS])
        await client.send(said, **tools)
        await client.answered(answer)


@asynccontextmanager
async def remembering(folder: Path, people: list[dict[str, Any]]) -> AsyncIterator[Runtime]:
    async def nobody(*_: object, **__: object) -> NoReturn:
        raise AssertionError("no model is asked")

    runtime = Runtime(
        Settings(
            data_dir=folder,
            projects={"acme": [SecretStr(KEY)]},
            store_timeout_ms=60_000,
            process_interval_seconds=3_600,
        ),
        gateway_embed=nobody,
        gateway_complete=nobody,
        gateway_write_json=nobody,
        count_tokens=count_tokens,
        model_behind=lambda *_, **__: Model(),
    )
    runtime.start(lambda: None)
    try:
        while runtime.faults():
            await asyncio.sleep(0.01)
        for person in people:
            for session in person["sessions"]:
                client = Client(runtime, f"{person['name']} {session['id']}", FORMATS["chat"])
                await chat(client, FORMATS["chat"], list(zip(session["said"][::2], session["said"][1::2], strict=True)))
        await process(runtime)
        yield runtime
    finally:
        await runtime.stop()


async def process(runtime: Runtime) -> None:
    """Make memory of all open sessions."""
    while claims := await runtime._state.claim(50, lease_seconds=60, now_ms=now_ms() + 3_600_000):
        await runtime._processor.process(claims)


async def measure(work: Any, format: ClientFormat, people: list[dict[str, Any]]) -> Client:
    asked = zip_longest(*(person["questions"] for person in people))
    texts = [text for person in people for session in person["sessions"] for text in session["said"][1::2]]
    questions = [one["question"] for row in asked for one in row if one is not None][:TURNS]
    with TemporaryDirectory() as folder:
        async with remembering(Path(folder), people) as runtime:
            client = Client(runtime, "measured", format)
            answers = [f"As for that: {text}" for text in texts[:TURNS]]
            await work(client, format, list(zip(questions, answers, strict=True)))
            return client


async def main() -> None:
    people = json.loads(FIRST_PERSON.read_text(encoding="utf-8"))
    print("| | input tokens without memory | with memory | price against without |\n|---|---|---|---|")
    for name, work in {"chat": chat, "agent": agent}.items():
        for format_name, format in FORMATS.items():
            client = await measure(work, format, people)
            without, with_memory = client.without.tokens, client.with_memory.tokens
            print(f"| {name}, {format_name} | {without:,} | {with_memory:,} | {client.times:.2f} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
