"""What memory costs at a provider that caches prompts: the price of the input with memory, against the same client's
without it, where a cached token costs a tenth; and how much of the evidence the blocks of each request show.

    python -m tests.benchmarks.prompt_cache [--users FILE]

FILE is `first_person.json`, or another of its form. Chats send their whole history with each message:

- subjects: one user remembers the conversations of all, and asks 16 of their questions in turn, each about something
  else;
- questions: each user asks up to 16 questions about what was said to them, for the mean of all users;
- goes on: each user's last two conversations, as one chat, by somebody who remembers those before; where these are long
  enough.

An agent has 4 turns of 8 steps, each with a result of 3,000 characters. What a request has in common with the beginning
of the one before it counts as cached. Answers are those of the conversations, for other questions: a chat is paid for
by its length. "Long" are two of them as one. Deterministic but for the times in the blocks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain, cycle, islice, zip_longest
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from pydantic import SecretStr

from recallr_litellm.core.escaping import escape
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
FEWEST_TURNS = 8
"""Of conversations that are worth being measured as one chat."""
CACHED_PRICE = 0.1

People = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Turn:
    """What the user says, and is answered."""

    said: str
    answer: str
    evidence: tuple[str, ...] = ()
    """Words that answer; none where it is no question."""


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
        self.shown: list[float] = []
        """Of each question, the share of its evidence that the blocks of its request show."""

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
        await self._call.kept()
        self.with_memory.add(self._format.prompt(body))

    async def ask(self, turn: Turn, **fields: Any) -> None:
        await self.send(self._format.user(turn.said), **fields)
        if turn.evidence:
            blocks = _words(self._call.block)
            self.shown.append(fmean(_words(escape(words)) in blocks for words in turn.evidence))

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


def _words(text: str) -> str:
    return " ".join(text.split())


Work = Callable[[Client, ClientFormat, Sequence[Turn]], Awaitable[None]]


async def chat(client: Client, format: ClientFormat, turns: Sequence[Turn]) -> None:
    for turn in turns:
        await client.ask(turn)
        await client.answered(turn.answer)


async def agent(client: Client, format: ClientFormat, turns: Sequence[Turn]) -> None:
    tools = {"tools": [{"type": "function", "name": "look", "function": {"name": "look"}}]}
    for number, turn in enumerate(turns[:AGENT_TURNS]):
        await client.ask(turn, **tools)
        for step in range(STEPS):
            id = f"call_{number}_{step}"
            await client.answered("", ToolCall(id=id, name="look", arguments=json.dumps({"page": step})))
            result = (f"Line {number}.{step} of the file. " * RESULT_CHARACTERS)[:RESULT_CHARACTERS]
            await client.send(format.result(id, result), **tools)
        await client.answered(turn.answer)


def conversation(sessions: Sequence[dict[str, Any]]) -> list[Turn]:
    """Conversations as one."""
    said = list(chain.from_iterable(session["said"] for session in sessions))
    return [Turn(text, answer) for text, answer in zip(said[::2], said[1::2], strict=True)]


def questions(asked: People, people: People) -> list[Turn]:
    """The questions of somebody, at most 16, from first to last; of several, each in turn."""
    rows = zip_longest(*(person["questions"] for person in asked))
    known = [one for row in rows for one in row if one is not None]
    if len(asked) == 1:
        known = known[:: max(1, len(known) // TURNS)]
    answers = cycle(turn.answer for person in people for turn in conversation(person["sessions"]))
    return [
        Turn(one["question"], f"As for that: {answer}", tuple(one["evidence"].values()))
        for one, answer in zip(known[:TURNS], answers, strict=False)
    ]


def long(turns: Sequence[Turn]) -> list[Turn]:
    """Two answers as one."""
    following = islice(cycle(turns), 1, None)
    return [
        replace(turn, answer=f"{turn.answer}\n\n{other.answer}") for turn, other in zip(turns, following, strict=False)
    ]


@asynccontextmanager
async def remembering(folder: Path, people: People) -> AsyncIterator[Runtime]:
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
                await chat(client, FORMATS["chat"], conversation([session]))
        await process(runtime)
        yield runtime
    finally:
        await runtime.stop()


async def process(runtime: Runtime) -> None:
    """Make memory of all open sessions."""
    while claims := await runtime._state.claim(50, lease_seconds=60, now_ms=now_ms() + 3_600_000):
        await runtime._processor.process(claims)


async def measure(work: Work, format: ClientFormat, people: People, turns: Sequence[Turn]) -> Client:
    """A conversation of somebody who remembers all that these people said."""
    with TemporaryDirectory() as folder:
        async with remembering(Path(folder), people) as runtime:
            client = Client(runtime, "measured", format)
            await work(client, format, turns)
            return client


async def each(chats: Iterable[tuple[People, Sequence[Turn]]]) -> list[Client]:
    """Chats of several people, of what each remembers and says; not those that are too short."""
    return [await measure(chat, FORMATS["chat"], *one) for one in chats if len(one[1]) >= FEWEST_TURNS]


def row(name: str, clients: Sequence[Client]) -> None:
    if not clients:
        return
    without, with_memory = (
        fmean(tokens) for tokens in zip(*((c.without.tokens, c.with_memory.tokens) for c in clients), strict=True)
    )
    shown = [share for client in clients for share in client.shown]
    evidence = f"{100 * fmean(shown):.1f}" if shown else ""
    price = fmean(client.times for client in clients)
    print(f"| {name} | {without:,.0f} | {with_memory:,.0f} | {price:.2f} | {evidence} |", flush=True)


async def main(people: People) -> None:
    subjects = questions(people, people)
    print("| | input tokens without memory | with memory | price against without | evidence shown, % |")
    print("|---|---|---|---|---|")
    for name, work in {"chat, subjects": chat, "agent": agent}.items():
        for format_name, format in FORMATS.items():
            row(f"{name}, {format_name}", [await measure(work, format, people, subjects)])
    row("chat, subjects, long", [await measure(chat, FORMATS["chat"], people, long(subjects))])
    asking = [([person], questions([person], people)) for person in people]
    going_on = [
        ([{**person, "sessions": person["sessions"][:-2]}], conversation(person["sessions"][-2:])[:TURNS])
        for person in people
    ]
    for name, chats in {"questions": asking, "goes on": going_on}.items():
        row(f"chat, {name}", await each(chats))
        row(f"chat, {name}, long", await each([(remembered, long(turns)) for remembered, turns in chats]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=Path, default=FIRST_PERSON, help="another set of the form of first_person.json")
    asyncio.run(main(json.loads(parser.parse_args().users.read_text(encoding="utf-8"))))
