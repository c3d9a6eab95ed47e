"""What Reconify costs a request.

    python -m tests.benchmarks.reconify --rounds 200

Four gateways in front of one provider that answers at once: two with Reconify off, one with it on, one with it on and
an endpoint that takes connections and never answers. In each round all of them, in another order each time, get the
same requests: one, or a burst of `BURST` at once, or `CLIENTS` clients that ask without a pause. Half of the rounds are
streamed. Before the next gateway has its turn, the outbox of this one is empty (but for the endpoint that hangs).

Everything is compared within its round. `beside off` is how much more a gateway took than the mean of the two with
Reconify off; of the second of those, how much more than the first: so much is noise. Each is the median over all
rounds, with the interval in which 95 % of resampled medians lie. What Reconify adds is beyond noise if its interval
does not include 0. CPU is that of the worker and its Valkey, until the outbox is empty.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from recallr_litellm.stores.state.process import pid_file
from tests.benchmarks.gateways import CONFIG, SETTINGS
from tests.benchmarks.processes import cpu_seconds_exactly, load
from tests.support.provider import ProviderProcess
from tests.support.proxy import CHAT_MODEL, Proxy
from tests.support.reconify_endpoint import HANGS, ReconifyEndpoint

BURST = 8
CLIENTS, EACH = 4, 10
"""Clients that ask without a pause, and how often each asks in one round."""
ROUNDS_A_USER = 4
"""After so many rounds, others ask: conversations stay short."""
WARM_UP = 4
OFF, AGAIN, ON, HANGING = "off", "off again", "on", "on, endpoint hangs"


@dataclass(frozen=True)
class Way:
    """How a gateway is asked in one round."""

    name: str
    clients: int
    each: int
    """Requests of each client, one after another."""
    share: float = 1.0
    """Of the rounds: those with many requests need fewer."""

    @property
    def requests(self) -> int:
        """In one round."""
        return self.clients * self.each


WAYS = (
    Way("one at a time", 1, 1),
    Way(f"burst of {BURST}", BURST, 1, share=0.5),
    Way(f"{CLIENTS} without a pause", CLIENTS, EACH, share=0.25),
)


@dataclass
class Gateway:
    """A gateway under one condition."""

    name: str
    proxy: Proxy
    client: httpx.AsyncClient
    endpoint: ReconifyEndpoint | None = None
    """That answers."""
    asked: int = 0

    @property
    def valkey(self) -> int:
        """Process id."""
        return int(pid_file((self.proxy.data_dir / "redis").resolve()).read_text())

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds_exactly(self.proxy.pid) + cpu_seconds_exactly(self.valkey)

    async def ask(self, user: str, question: str, *, stream: bool) -> float:
        """Send one request; the seconds until the end of its answer."""
        body = {"model": CHAT_MODEL, "stream": stream, "messages": [{"role": "user", "content": question}]}
        headers = {"Authorization": f"Bearer {self.proxy.master_key}", **self.proxy.headers(user)}
        began = time.perf_counter()
        answer = await self.client.post(f"{self.proxy.url}/v1/chat/completions", json=body, headers=headers)
        took = time.perf_counter() - began
        if not answer.is_success:
            raise SystemExit(f"{self.name}: {answer.status_code} {answer.text}\n{self.proxy.log[-5000:]}")
        self.asked += 1
        return took

    async def settled(self) -> None:
        """Return when all that was asked has been reported."""
        if self.endpoint is not None:
            async with asyncio.timeout(60):
                while len(self.endpoint.accepted_ids) < self.asked:
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # what LiteLLM and the plugin do after an answer


@dataclass(frozen=True)
class Round:
    """What one gateway took in one round, milliseconds."""

    times: list[float]
    """Of each request."""
    cpu: float
    """Of one request."""


Measured = dict[str, list[Round]]
"""By gateway; the n-th of each belong together."""


async def measure(gateways: Sequence[Gateway], way: Way, rounds: int) -> Measured:
    """Ask all gateways in turns."""
    found: Measured = {gateway.name: [] for gateway in gateways}
    order = list(gateways)
    users = uuid.uuid4().hex
    for number in range(WARM_UP + rounds):
        random.shuffle(order)
        questions = [
            [f"Tell me about {uuid.uuid4().hex}. " + "It was a dark and stormy night. " * 20 for _ in range(way.each)]
            for _ in range(way.clients)
        ]
        for gateway in order:
            ask = [
                _ask_all(gateway, f"{users}-{number // ROUNDS_A_USER}-{client}", asked, stream=number % 2 == 1)
                for client, asked in enumerate(questions)
            ]
            cpu = gateway.cpu()
            times = [seconds * 1000 for of_one in await asyncio.gather(*ask) for seconds in of_one]
            await gateway.settled()
            if number >= WARM_UP:
                found[gateway.name].append(Round(times, (gateway.cpu() - cpu) * 1000 / way.requests))
    return found


async def _ask_all(gateway: Gateway, user: str, questions: Sequence[str], *, stream: bool) -> list[float]:
    return [await gateway.ask(user, question, stream=stream) for question in questions]


def rows(way: Way, measured: Measured) -> list[list[str]]:
    """Rows of the table, one for each gateway."""
    times = {name: np.array([np.mean(one.times) for one in found]) for name, found in measured.items()}
    cpu = {name: np.array([one.cpu for one in found]) for name, found in measured.items()}
    made = []
    for name, found in measured.items():
        p50, p95 = np.percentile([ms for one in found for ms in one.times], [50, 95])
        row = [way.name, name, str(len(found)), f"{p50:.1f}", f"{p95:.1f}", *_beside_off(times, name)]
        made.append([*row, f"{np.median(cpu[name]):.2f}", *_beside_off(cpu, name)])
    return made


def _beside_off(values: dict[str, np.ndarray], name: str) -> list[str]:
    """How much more one gateway took than those with Reconify off, and what to think of it."""
    if name == OFF:
        return ["", ""]
    off = values[OFF] if name == AGAIN else (values[OFF] + values[AGAIN]) / 2
    more = values[name] - off
    low, high = interval(more)
    verdict = "noise" if name == AGAIN else "within noise" if low <= 0 <= high else "beyond noise"
    return [f"{np.median(more):+.2f} ({low:+.2f} to {high:+.2f})", verdict]


def interval(differences: np.ndarray) -> tuple[float, float]:
    """Between which medians 95 % of resamples lie."""
    dice = np.random.default_rng(0)
    medians = np.median(dice.choice(differences, (2000, len(differences))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(low), float(high)


async def cost(folder: Path, rounds: int) -> Table:
    """Start the gateways, and measure all ways."""
    table = Table(
        "way", "gateway", "rounds", "p50 ms", "p95 ms", "beside off", "", "CPU ms a request", "beside off", ""
    )
    with ExitStack() as stack, Progress() as progress:
        provider = stack.enter_context(ProviderProcess(folder / "provider")).provider
        works, hangs = (stack.enter_context(ReconifyEndpoint()) for _ in range(2))
        hangs.answers = lambda posted: HANGS
        conditions = {OFF: None, AGAIN: None, ON: works, HANGING: hangs}
        async with AsyncExitStack() as clients:
            gateways = []
            for number, (name, endpoint) in enumerate(conditions.items()):
                settings = {**SETTINGS, **(endpoint.settings if endpoint else {})}
                proxy = stack.enter_context(Proxy(folder / str(number), provider, settings=settings, config=CONFIG))
                # uvicorn closes connections that are idle for 5 s, as they are while the other gateways are asked.
                limits = httpx.Limits(keepalive_expiry=2)
                client = await clients.enter_async_context(
                    httpx.AsyncClient(trust_env=False, timeout=60, limits=limits)
                )
                gateways.append(Gateway(name, proxy, client, works if endpoint is works else None))
            for way in progress.track(WAYS, description="measuring"):
                for row in rows(way, await measure(gateways, way, max(1, round(rounds * way.share)))):
                    table.add_row(*row)
        assert hangs.posted, "the endpoint that hangs was never asked: nothing was measured"
    return table


def main(rounds: Annotated[int, typer.Option(help="Of the first way; of the others, a share.")] = 200) -> None:
    """Measure, and print a table."""
    console = Console(width=200)
    console.print(f"before: {load()}")
    with tempfile.TemporaryDirectory() as folder:
        console.print(asyncio.run(cost(Path(folder), rounds)))
    console.print(f"after: {load()}")


if __name__ == "__main__":
    typer.run(main)
