"""Chats and the REST API at once, into the same sessions: is every message there once, and in order?

    python -m tests.benchmarks.api_load --users 50 --seconds 120

Two workers on a real Redis and on the stand-in for a Qdrant server, which serves one request at a time. Each user acts
in turn: a chat (every other one streamed), or a message by the API, into a session made by the API; after `TURNS` turns
it has the session processed and makes another. What is answered with 503 is asked for again, with the same
`Idempotency-Key`. Then the messages of all sessions are read, once as they are and once
more when all are processed, and compared with what was sent.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tests.support.provider import ProviderProcess
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer

TURNS = 12
_PATIENCE = 600.0
"""Seconds until all sessions have to be processed."""

Said = list[tuple[str, str]]
"""(role, text) of each message, in order."""


@dataclass
class Tally:
    """What came of all requests."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass
class Person:
    """One user and what it has said."""

    name: str
    client: httpx.AsyncClient
    proxy: Proxy
    tally: Tally
    sessions: dict[str, Said] = field(default_factory=dict)

    async def act(self, until: float) -> None:
        """Say one thing after another until the time is up."""
        await self._api("POST", "/users", {"custom_user_id": self.name})
        number = 0
        while perf_counter() < until:
            session = (await self._api("POST", f"/users/{self.name}/sessions", {}))["session_id"]
            said = self.sessions[session] = []
            for _ in range(TURNS):
                number += 1
                text = f"{self.name} says number {number}."
                if number % 2:
                    said += [("user", text), ("assistant", await self._chat(session, text, stream=number % 4 == 1))]
                else:
                    role = "assistant" if number % 4 else "user"
                    path = f"/users/{self.name}/sessions/{session}/add-message"
                    await self._api("POST", path, {"role": role, "message": text})
                    said.append((role, text))
                if perf_counter() >= until:
                    return
            await self._api("POST", f"/users/{self.name}/sessions/{session}/process")

    async def stored(self, session: str) -> Said:
        """What the gateway says was said."""
        found = await self._api("GET", f"/users/{self.name}/sessions/{session}/messages?limit=200")
        return [(message["role"], message["content"]) for message in found["messages"]]

    async def end(self) -> None:
        """Have all sessions processed, and wait until they are."""
        path = f"/users/{self.name}/sessions"
        for session in self.sessions:
            await self._api("POST", f"{path}/{session}/process")
        async with asyncio.timeout(_PATIENCE):
            while (await self._api("GET", f"{path}?status_filter=pending&status_filter=processing"))["total"]:
                await asyncio.sleep(2.0)

    async def _chat(self, session: str, text: str, *, stream: bool) -> str:
        body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": text}], "stream": stream}
        headers = self.proxy.headers(self.name, session_id=session, allow_new_user_creation=False)
        key = {"Authorization": f"Bearer {self.proxy.master_key}"}
        begun = perf_counter()
        response = await self.client.post("/v1/chat/completions", json=body, headers=headers | key)
        self._note("chat, streamed" if stream else "chat", begun, response)
        if not stream:
            return str(response.json()["choices"][0]["message"]["content"])
        events = [line[6:] for line in response.text.splitlines() if line.startswith("data: {")]
        pieces = [choice["delta"].get("content") or "" for one in map(_parsed, events) for choice in one["choices"]]
        return "".join(pieces)

    async def _api(self, method: str, path: str, body: Any = None) -> Any:
        headers = self.proxy.headers(None, allow_new_user_creation=None)
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        begun = perf_counter()
        response = await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        while response.status_code == 503:  # what a client does: the same again, which must not be done twice
            self.tally.statuses["503, asked again"] += 1
            await asyncio.sleep(1.0)
            response = await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        self._note(f"{method} …/{path.partition('?')[0].rpartition('/')[2]}", begun, response)
        return response.json()

    def _note(self, what: str, begun: float, response: httpx.Response) -> None:
        what = "GET …/{session}" if len(what) > 36 else what
        self.tally.seconds.setdefault(what, []).append(perf_counter() - begun)
        self.tally.statuses[f"{what}: {response.status_code}"] += 1


def _parsed(text: str) -> Any:
    return httpx.Response(200, text=text).json()


async def _run(proxy: Proxy, users: int, seconds: float, console: Console) -> bool:
    tally = Tally()
    async with httpx.AsyncClient(base_url=proxy.url, timeout=120.0, trust_env=False) as client:
        people = [Person(f"user-{number}", client, proxy, tally) for number in range(users)]
        begun = perf_counter()
        await asyncio.gather(*(person.act(begun + seconds) for person in people))
        spent = perf_counter() - begun
        table = Table("request", "count", "a second", "p50 ms", "p99 ms", title=f"{users} users, {spent:.0f} s")
        for what, took in sorted(tally.seconds.items()):
            p50, p99 = np.percentile(took, [50, 99]) * 1000
            table.add_row(what, str(len(took)), f"{len(took) / spent:.1f}", f"{p50:.0f}", f"{p99:.0f}")
        console.print(table)
        failed = {what: count for what, count in tally.statuses.items() if not what.endswith(("200", "201"))}
        console.print(f"not served: {failed or 'none'}")
        before = await _count(people, "as they are", console)
        await asyncio.gather(*(person.end() for person in people))
        return await _count(people, "all processed", console) and before


async def _count(people: list[Person], when: str, console: Console) -> bool:
    sent = stored = wrong = 0
    for person in people:
        for session, said in person.sessions.items():
            found = await person.stored(session)
            sent, stored, wrong = sent + len(said), stored + len(found), wrong + (found != said)
    sessions = sum(len(person.sessions) for person in people)
    console.print(f"{when}: {sent} messages sent, {stored} stored; {wrong} of {sessions} sessions differ")
    return not wrong


def main(
    users: Annotated[int, typer.Option(help="Who act at the same time.")] = 50,
    seconds: Annotated[float, typer.Option(help="How long they do.")] = 120.0,
) -> None:
    """Run the load, and count."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as started:
        folder = Path(name)
        redis = started.enter_context(RedisServer(folder / "redis"))
        qdrant = started.enter_context(QdrantServer(folder / "qdrant"))
        provider = started.enter_context(ProviderProcess(folder / "provider")).provider
        options = {"redis_url": redis.url, "qdrant_url": qdrant.url, "num_workers": 2}
        proxy = started.enter_context(Proxy(folder / "proxy", provider, **options))
        console = Console(width=120)
        if not asyncio.run(_run(proxy, users, seconds, console)):
            for line in proxy.log.splitlines():
                if "was not served" in line or "failed" in line:
                    console.print(line, markup=False)
            raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
