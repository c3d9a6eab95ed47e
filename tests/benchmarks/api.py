"""The REST API with 10,000 messages of one user: requests a second, and how long they take.

    python -m tests.benchmarks.api --messages 10000

One gateway with embedded stores. The messages are added by the API itself, `PER_SESSION` to a session, which are then
processed; then the other requests are made, one at a time and `AT_ONCE` at a time.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from tests.benchmarks.processes import load
from tests.support.provider import ProviderProcess
from tests.support.proxy import Proxy

USER = "reader"
PER_SESSION = 200
AT_ONCE = 8
TOPICS = ("garden", "bicycle", "sister", "kitchen", "holiday", "piano", "doctor", "allotment", "novel", "train")

Request = Callable[[], Awaitable[Any]]


class Api:
    """Makes requests of one user, and says how long they took."""

    def __init__(self, proxy: Proxy, client: httpx.AsyncClient) -> None:
        self._client = client
        self._headers = proxy.headers(None, allow_new_user_creation=None)

    async def __call__(self, method: str, path: str = "", body: Any = None) -> Any:
        """The answer to one request below the user's own path."""
        url = "/api/v1/users" if method == "POST" and not path else f"/api/v1/users/{USER}{path}"
        response = await self._client.request(method, url, json=body, headers=self._headers)
        response.raise_for_status()
        return response.json() if response.content else None

    def add(self, session: str, number: int) -> Request:
        """Adding the message of this number."""
        topic, other = TOPICS[number % len(TOPICS)], TOPICS[number // 7 % len(TOPICS)]
        text = f"Note {number}: the {topic} came up again, and so did the {other}; I spent {number % 97} euros on it."
        body = {"role": "assistant" if number % 2 else "user", "message": text}
        return lambda: self("POST", f"/sessions/{session}/add-message", body)


async def timed(requests: Sequence[Request], at_once: int) -> tuple[float, list[float]]:
    """Seconds of all requests, so many at a time, and of each."""
    left, took = iter(requests), []

    async def work() -> None:
        for request in left:
            begun = perf_counter()
            await request()
            took.append(perf_counter() - begun)

    begun = perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return perf_counter() - begun, took


async def _run(proxy: Proxy, messages: int, repeats: int, console: Console) -> None:
    table = Table(
        "request", "at a time", "count", "a second", "p50 ms", "p99 ms", title=f"{messages} messages; {load()}"
    )

    async def row(what: str, requests: Sequence[Request], at_once: int) -> None:
        spent, took = await timed(requests, at_once)
        p50, p99 = np.percentile(took, [50, 99]) * 1000
        cells = (what, at_once, len(took), f"{len(took) / spent:.0f}", f"{p50:.1f}", f"{p99:.1f}")
        table.add_row(*map(str, cells))

    async with httpx.AsyncClient(base_url=proxy.url, timeout=120.0, trust_env=False) as client:
        api = Api(proxy, client)
        await api("POST", body={"custom_user_id": USER})
        sessions = [(await api("POST", "/sessions", {}))["session_id"] for _ in range(messages // PER_SESSION)]
        adding = [api.add(sessions[number // PER_SESSION], number) for number in range(messages)]
        await row("add-message", adding[: messages // 4], 1)
        await row("add-message", adding[messages // 4 :], AT_ONCE)
        for session in sessions:
            await api("POST", f"/sessions/{session}/process")
        while (await api("GET", "/sessions?status_filter=pending&status_filter=processing"))["total"]:
            await asyncio.sleep(1.0)
        asking = [(await api("POST", "/sessions", {}))["session_id"] for _ in range(repeats)]
        for number, session in enumerate(asking):
            question = {"role": "user", "message": f"What about the {TOPICS[number % 10]} in note {number}?"}
            await api("POST", f"/sessions/{session}/add-message", question)

        def each(path: Callable[[int], str]) -> list[Request]:
            return [partial(api, "GET", path(number)) for number in range(repeats)]

        for at_once in (1, AT_ONCE):
            await row("context", each(lambda n: f"/sessions/{asking[n]}/context"), at_once)
            await row("list sessions", each(lambda n: f"/sessions?limit=50&offset={n % 50}"), at_once)
            await row(
                "messages of a session", each(lambda n: f"/sessions/{sessions[n % len(sessions)]}/messages"), at_once
            )
            await row("last 100 messages", each(lambda _: "/messages?limit=100"), at_once)
        doomed = [partial(api, "DELETE", f"/sessions/{id}") for id in sessions[:20]]
        await row(f"delete a session of {PER_SESSION}", doomed, 1)
        begun = perf_counter()
        await api("DELETE", "")
        table.add_row("delete the user", "1", "1", "", f"{(perf_counter() - begun) * 1000:.0f}", "")
    console.print(table)


def main(
    messages: Annotated[int, typer.Option(help="Messages of the user.")] = 10_000,
    repeats: Annotated[int, typer.Option(help="Requests of each kind.")] = 100,
) -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as started:
        provider = started.enter_context(ProviderProcess(Path(name) / "provider")).provider
        proxy = started.enter_context(Proxy(Path(name) / "proxy", provider))
        asyncio.run(_run(proxy, messages, repeats, Console(width=120)))


if __name__ == "__main__":
    typer.run(main)
