"""What a session that holds much costs its own user, and everybody else.

    python -m tests.benchmarks.large_sessions

- An agent's step: milliseconds in the plugin, without and with 80 earlier tool results of 800 KB, for a client that
  sends its whole history and for one that sends the newest result alone.
- A stranger's request, from sending to the answer, while another user talks on in a session in which messages of 1 MB
  were said. Nothing is processed meanwhile: this is about reading and writing sessions.

One gateway, whose model answers at once without being asked. Trust the ratios within one run.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from tests.support.provider import ThreadedProvider
from tests.support.proxy import Proxy

TOOL_RESULTS = (0, 80)
SESSIONS_MB = (0, 10, 40, 100)
MODEL = "answers-at-once"
CONFIG = {
    "model_list": [
        {"model_name": MODEL, "litellm_params": {"model": "openai/x", "api_key": "sk-x", "mock_response": "Noted."}}
    ]
}
SETTINGS = {"RECALLR_MIN_SESSION_TIMEOUT_SECONDS": "600", "RECALLR_PROCESS_INTERVAL_SECONDS": "100000"}

Message = dict[str, Any]


class Client:
    """A user of the gateway."""

    def __init__(self, proxy: Proxy, http: httpx.AsyncClient, user: str) -> None:
        self._url = f"{proxy.url}/v1/chat/completions"
        self._headers = {**proxy.headers(user), "Authorization": f"Bearer {proxy.master_key}"}
        self._http = http

    async def ask(self, *messages: Message, answer: str = "Noted.") -> tuple[float, float]:
        """Milliseconds until the answer was there, and of them in the plugin."""
        begun = perf_counter()
        response = await self._http.post(
            self._url, json={"model": MODEL, "messages": list(messages), "mock_response": answer}, headers=self._headers
        )
        took = 1000 * (perf_counter() - begun)
        response.raise_for_status()
        status = response.headers["x-recallr-memory-status"]
        if status.startswith("degraded"):
            raise SystemExit(f"The gateway answered with memory {status}")
        return took, float(response.headers["x-recallr-process-time"])


def says(text: str) -> Message:
    """A user message."""
    return {"role": "user", "content": text}


def step(number: int, kilobytes: int) -> Sequence[Message]:
    """An agent's earlier answer and what its tool returned."""
    words = f"row {number} of the table is here and says that it holds {number * 7919} "
    text = (words * (kilobytes * 1000 // len(words) + 1))[: kilobytes * 1000]
    return {"role": "assistant", "content": reads(number)}, {
        "role": "tool",
        "tool_call_id": f"call-{number}",
        "content": text,
    }


def reads(number: int) -> str:
    """What the agent answers before a tool is called."""
    return f"Now I read table {number}."


async def agent(client: Client, earlier: int, kilobytes: int, steps: int) -> tuple[float, float]:
    """Median milliseconds in the plugin of a step with the whole history, and of one with the newest result alone."""
    history = [says("Read all the tables.")]
    await client.ask(*history, answer=reads(0))
    alone, whole = [], []
    for number in range(earlier + steps + steps // 2):
        now = step(number, kilobytes if number < earlier else 1)
        history += now
        sent = history if number >= earlier + steps else now
        _, inside = await client.ask(*sent, answer=reads(number + 1))
        if number >= earlier:
            (whole if sent is history else alone).append(inside)
    return median(whole), median(alone)


async def beside(neighbour: Client, stranger: Client, megabytes: int, requests: int) -> tuple[float, float]:
    """Median and 95th percentile, in milliseconds, of the stranger's requests beside the neighbour's."""
    for number in range(megabytes):
        await neighbour.ask(says(f"page {number:4} " * 100_000))

    async def talk() -> None:
        number = 0
        while True:
            await neighbour.ask(says(f"And now number {number}."))
            number += 1

    talking = asyncio.create_task(talk())
    times = []
    for number in range(requests):
        times.append((await stranger.ask(says(f"What is {number} and {number * 17}?")))[0])
        await asyncio.sleep(0.02)
        if talking.done():
            talking.result()
    talking.cancel()
    times.sort()
    return median(times), times[int(0.95 * len(times))]


async def run(proxy: Proxy, requests: int, kilobytes: int) -> tuple[Table, Table]:
    """Both measurements, milliseconds."""
    steps = Table(f"tool results of {kilobytes} KB", "step, whole history sent", "newest result sent")
    strangers = Table("session beside, MB", "stranger's request, p50", "p95")
    async with httpx.AsyncClient(trust_env=False, timeout=300.0) as http:
        await Client(proxy, http, "warm-up").ask(says("Hello."))
        for earlier in TOOL_RESULTS:
            whole, alone = await agent(Client(proxy, http, f"agent-{earlier}"), earlier, kilobytes, requests // 4)
            steps.add_row(str(earlier), f"{whole:.1f}", f"{alone:.1f}")
        for megabytes in SESSIONS_MB:
            neighbour, stranger = (Client(proxy, http, f"{name}-{megabytes}") for name in ("neighbour", "stranger"))
            p50, p95 = await beside(neighbour, stranger, megabytes, requests)
            strangers.add_row(str(megabytes), f"{p50:.0f}", f"{p95:.0f}")
    return steps, strangers


def main(
    requests: Annotated[int, typer.Option(help="Requests of the stranger in each case.")] = 60,
    kilobytes: Annotated[int, typer.Option(help="Of each tool result.")] = 800,
) -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadedProvider() as provider,
        Proxy(Path(folder), provider, config=CONFIG, settings=SETTINGS) as proxy,
    ):
        Console().print(*asyncio.run(run(proxy, requests, kilobytes)))


if __name__ == "__main__":
    typer.run(main)
